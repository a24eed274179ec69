"""Packshot: the way of a photo from an upload to a published scene.

Pure: `scene`, `photo`, `job`, `polling`, `events`, `messages`, `segmind_answers`, `pictures`.
The rim: `http_session`, `segmind`, `downloads` (HTTP); `job_table`, `photo_store`, `image_store`,
`upload_queue`, `workflow`, `event_bus`, `secret` (AWS); `settings` (the environment).
The use cases, which tie them together: `submitting`, `checking`, `finalizing`.
"""
