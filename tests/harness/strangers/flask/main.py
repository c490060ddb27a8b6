import os

from flask import Flask, session

from pns.flask import Inboxes

app = Flask(__name__)
app.secret_key = "change me"
app.config.update(PNS_URL=os.environ["PNS_URL"], PNS_KEY=os.environ["PNS_KEY"])
inboxes = Inboxes(app, user=lambda: session.get("user_id"))


@app.get("/")
def home():
    return '<title>Shop</title><script type="module" src="/pns/bell.js"></script><pns-bell></pns-bell>'


@app.post("/login/<user_id>")
def login(user_id):
    session["user_id"] = user_id
    return {}


@app.post("/ship/<user_id>")
def ship(user_id):
    return inboxes.notify(user_id, {"title": "Order shipped"})
