// The page: what PNS says of one user's notifications, and every message that passes. Text is only ever text.

import { connect } from './connection.js'

const PAGE = 5
const FRAMES = 200
const { pns, name } = document.body.dataset
const [state, leave, count, mark, unseen, seen, older, frames, form, sent] =
  ['state', 'leave', 'count', 'mark', 'unseen', 'seen', 'older', 'frames', 'notify', 'sent']
    .map(id => document.getElementById(id))

let last = null // the newest unseen notification that is shown
let asked = false // for the unseen ones, and whether to ask once more after that answer
let again = false
let pages = [] // of seen ones that were asked for, each by where it begins: '' is the newest

const connection = connect(pns, {
  state (text) {
    state.textContent = text
    state.className = text.split(' ')[0]
    leave.textContent = text === 'logged out' ? 'Log in' : 'Log out'
    if (text === 'connecting') forget()
  },
  passed: addFrame,
  message ({ newNotificationCountChanged: n, newNotificationData, seenNotificationData, error }) {
    if (n !== undefined) showCount(n)
    if (newNotificationData) showUnseen(newNotificationData)
    if (seenNotificationData) showSeen(seenNotificationData)
    if (error) forget()
  }
})

function forget () {
  [last, asked, again, pages] = [null, false, false, []]
  mark.disabled = true
  older.disabled = false
}

function showCount (n) {
  count.value = n
  document.title = `${n ? `(${n}) ` : ''}${name} · PNS demo`
  askUnseen()
}

function askUnseen () {
  again = asked
  if (asked) return
  asked = true
  connection.send({ unseenNotificationDataRequest: { ack: true } })
}

function showUnseen (items) {
  const ids = new Set(items.map(item => item.notification_id))
  const gone = [...unseen.children].some(item => !ids.has(item.dataset.id))
  if (gone || last === null) askSeen('')
  last = items.at(-1)?.notification_id ?? ''
  mark.disabled = !last
  unseen.replaceChildren(...items.map(entry).reverse())
  asked = false
  if (again) askUnseen()
}

function askSeen (before) {
  pages.push(before)
  older.disabled = true
  connection.send({ seenNotificationsRequest: { before, limit: PAGE } })
}

function showSeen (items) {
  const before = pages.shift()
  if (before === undefined) return
  if (!before) seen.replaceChildren()
  seen.append(...items.map(entry))
  older.hidden = items.length < PAGE
  older.disabled = pages.length > 0
}

mark.onclick = () => connection.send({ notificationDataSeen: { upTo: last } })
older.onclick = () => askSeen(seen.lastElementChild.dataset.id)

form.onsubmit = async event => {
  event.preventDefault()
  const answer = await fetch('/notify', { method: 'POST', body: new URLSearchParams(new FormData(form)) }).catch(() => null)
  sent.textContent = answer?.ok ? `Stored at ${time(new Date())}` : (await answer?.text()) ?? 'The application is away.'
}

function entry ({ notification_id: id, notification_data: data, create_date: date }) {
  const { title, body } = parse(data)
  const item = element('li', element('b', title ?? data), element('time', time(new Date(date))))
  if (body) item.append(element('p', body))
  item.dataset.id = id
  return item
}

function addFrame (direction, text) {
  const item = element('li', element('time', time(new Date())), element('details', element('summary', element('code', text))))
  item.className = direction
  frames.prepend(item)
  frames.children[FRAMES]?.remove()
}

function element (tag, ...content) {
  const made = document.createElement(tag)
  made.append(...content)
  return made
}

function parse (data) {
  try {
    return Object(JSON.parse(data))
  } catch {
    return {}
  }
}

function time (date) {
  return date.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' })
}
