// The page of the fleet: asks the application every second what each node says, draws it, and tells what moved.
// Text is only ever text.

const EVERY = 1000
const LINES = 100
const [state, nodes, said, story, template] =
  ['state', 'nodes', 'said', 'story', 'node'].map(id => document.getElementById(id))
const cards = new Map()
let before = new Map()

document.addEventListener('pns-state', ({ detail }) => {
  state.textContent = detail.replace('-', ' ')
  state.className = detail
})

async function look () {
  const answer = await fetch('/fleet/state').catch(() => null)
  if (answer?.ok) show(await answer.json())
  else said.textContent = (await answer?.text()) ?? 'The application is away.'
  setTimeout(look, EVERY)
}

function show ({ users, nodes }) {
  if (!cards.size) said.textContent = ''
  for (const node of nodes) draw(node, users)
  tell(nodes, users)
}

function draw (node, users) {
  const card = cards.get(node.name) ?? made(node)
  const alive = node.state === 'alive'
  card.className = `card ${node.state}`
  const counts = alive ? Object.entries(node.unseen).map(([user, count]) => `${users[user]} ${count}`) : []
  card.querySelector('.told').textContent = alive ? `unseen, as it reads them: ${counts.join(', ')}` : node.state
  card.querySelector('.held').replaceChildren(...(node.connections ?? []).map(one => connection(one, users)))
  for (const act of ['notify', 'kill']) card.querySelector(`[data-act=${act}]`).disabled = !alive
  card.querySelector('[data-act=restart]').textContent = node.state === 'dead' ? 'Start' : 'Restart'
}

function made (node) {
  const card = template.content.firstElementChild.cloneNode(true)
  card.querySelector('.name').textContent = `Node ${node.name}`
  card.querySelector('.port').textContent = `:${node.port}`
  for (const button of card.querySelectorAll('[data-act]')) {
    button.addEventListener('click', () => act(node.name, button))
  }
  cards.set(node.name, card)
  nodes.append(card)
  return card
}

function connection ({ user, device }, users) {
  const item = element('li', users[user], element('code', device))
  item.dataset.user = user
  item.dataset.letter = users[user][0]
  return item
}

async function act (name, button) {
  const what = button.textContent
  const answer = await fetch(`/fleet/${name}/${button.dataset.act}`, { method: 'POST' }).catch(() => null)
  line(answer?.ok ? `You: ${what.toLowerCase()}, node ${name}` : (await answer?.text()) ?? 'The application is away.')
}

// What is different from a second ago: nodes that died or came, connections that moved.
function tell (nodes, users) {
  const now = new Map()
  for (const node of nodes) {
    now.set(`node ${node.name}`, node.state)
    for (const { user, device } of node.connections ?? []) now.set(`${users[user]}’s ${device}`, `on node ${node.name}`)
  }
  for (const [what, where] of now) {
    if (before.size && before.get(what) !== where) line(`${what} is ${where}`)
  }
  for (const what of before.keys()) if (!now.has(what)) line(`${what} is gone`)
  before = now
}

function line (text) {
  story.prepend(element('li', element('time', clock()), text[0].toUpperCase() + text.slice(1)))
  story.children[LINES]?.remove()
}

function element (tag, ...content) {
  const made = document.createElement(tag)
  made.append(...content)
  return made
}

function clock () {
  return new Date().toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' })
}

look()
