"""One small service that every client already speaks to: embeddings, reranking and labels over HTTP.

Its parts, from the socket to the model: :mod:`.server` binds, loads, seals and ends; :mod:`.app` reads requests;
:mod:`.dialects` are what clients speak; :mod:`.service` is what they all ask; :mod:`.pipeline` is the one way of every
request to its model; :mod:`.shelf` has the models; :mod:`.scheduler` and :mod:`.waiting` decide what runs next;
:mod:`.work` runs it.

It has no client of its own, looks for no model (it is handed a manager), and calls out to nobody.
"""
