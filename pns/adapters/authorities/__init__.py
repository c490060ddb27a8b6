"""The authorities: the questions "whose device is this?" and "does the caller speak for the application?".

A line here may ask the application or an issuer of tokens, and may keep an answer for a short time. It opens
no connection of a device and reads no store.
"""
