"""The keyframe agent: from a video and a style to consistent styled keyframes, offline or with Gemini.

The only place that imports langgraph and langchain; they load with the graph, not with the looks.
"""
