import express from 'express'
import session from 'express-session'
import { PNS } from 'pns-application'

const pns = new PNS(process.env.PNS_URL, { key: process.env.PNS_KEY })
const app = express()
app.use(session({ secret: 'change me', resave: false, saveUninitialized: false }))

app.post('/pns-auth', (req, res) =>
  req.session.userId ? res.json({ user_id: req.session.userId }) : res.sendStatus(401))

app.get('/', (req, res) => res.send(
  `<title>Shop</title><script type="module" src="${process.env.PNS_URL}/bell.js"></script><pns-bell></pns-bell>`))

app.post('/login/:userId', (req, res) => {
  req.session.userId = req.params.userId
  res.json({})
})

app.post('/ship/:userId', async (req, res) => {
  res.json(await pns.notify(req.params.userId, { title: 'Order shipped' }))
})

app.listen(process.env.PORT, '127.0.0.1')
