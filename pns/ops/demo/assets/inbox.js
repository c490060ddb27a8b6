// The page around the bell: a form that notifies, buttons that break something, and every message that passes.
// The bell itself needs nothing of this. Text is only ever text.

const FRAMES = 200
const [state, frames, form, sent, broken] =
  ['state', 'frames', 'notify', 'sent', 'broken'].map(id => document.getElementById(id))

document.addEventListener('pns-state', ({ detail }) => {
  state.textContent = detail.replace('-', ' ')
  state.className = detail
})

document.addEventListener('pns-frame', ({ detail: { direction, via, text } }) => {
  const line = element('details', element('summary', element('code', text)))
  const item = element('li', element('time', now()), line)
  item.className = direction
  item.title = via
  frames.prepend(item)
  frames.children[FRAMES]?.remove()
})

form.addEventListener('submit', event => {
  event.preventDefault()
  post('/notify', new FormData(form, event.submitter), sent, 'Stored')
})

for (const button of document.querySelectorAll('[data-post]')) {
  button.addEventListener('click', async () => {
    button.disabled = true
    broken.textContent = 'Under way…'
    await post(button.dataset.post, [], broken, 'Done')
    button.disabled = false
  })
}

async function post (path, fields, said, done) {
  const answer = await fetch(path, { method: 'POST', body: new URLSearchParams(fields) }).catch(() => null)
  said.textContent = answer?.ok ? `${done} at ${now()}` : (await answer?.text()) ?? 'The application is away.'
}

function element (tag, ...content) {
  const made = document.createElement(tag)
  made.append(...content)
  return made
}

function now () {
  return new Date().toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' })
}
