"""The widgets: for each idea a NumPy model (`<idea>.py`), its JavaScript twin (`<idea>.js`) and a drawing (`<idea>.view.js`).

The model is the truth; tests run the twin in V8 and compare value by value. Nothing here imports gradio or torch.
"""
