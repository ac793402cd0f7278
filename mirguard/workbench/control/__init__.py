"""Controllers: each keeps one part of the document up to date by asking the lanes and hearing their answers."""
