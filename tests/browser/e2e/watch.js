// Runs in a page before anything of its own: for whom its questions were answered, and all that it paints.
//
// What is painted is looked at in each turn in which the page changes, and in the frame that shows it; so is what
// stands there in the frame after each answer. A fault is kept where neither a closed tab nor another page loses
// it. Whose something is: Ann's counts are odd, Bob's are even, each text begins with its user's id.

(() => {
  const note = (kind, text) => {
    try {
      localStorage.setItem(`${kind} ${text}`, '1')
    } catch {} // a page that is none of the site's
  }

  let named = 'nobody' // by the answer to the question that was asked last, of those that were answered
  let asked = 0
  let answered = 0
  let asking = 0
  const { fetch } = window
  window.fetch = async (address, options) => {
    if (!String(address).endsWith('/subscribe')) return fetch(address, options)
    const number = ++asked
    asking++
    try {
      const response = await fetch(address, options)
      const text = await response.text()
      // From here to the client there is no turn in between.
      response.text = async () => {
        hear(number, response.status, text)
        return text
      }
      return response
    } finally {
      asking--
    }
  }

  function hear (number, status, text) {
    if (number < answered || (status !== 200 && status !== 401 && status !== 403)) return
    answered = number
    named = status === 200 ? JSON.parse(text).user_id : 'nobody'
    soon()
  }

  let root = null
  const { attachShadow } = Element.prototype
  Element.prototype.attachShadow = function (options) {
    const made = attachShadow.call(this, options)
    if (this.localName === 'pns-bell') watch((root = made))
    return made
  }

  const changed = new MutationObserver(() => {
    look('turn')
    soon()
  })
  const all = { subtree: true, childList: true, characterData: true, attributes: true }
  const watch = node => changed.observe(node, all)
  watch(document)

  let frame = 0
  function soon () {
    frame ||= requestAnimationFrame(() => {
      frame = 0
      look('frame')
    })
  }

  /** All that is shown and is somebody's: what it is, and its words. */
  function * shown () {
    const badge = root?.querySelector('.badge')
    if (badge && !badge.hidden) yield ['count', badge.textContent]
    const mark = /^\((\d+)\) /.exec(document.title)
    if (mark) yield ['title', mark[1]]
    for (const text of root?.querySelectorAll('li') ?? []) yield ['text', text.textContent]
    for (const text of root?.querySelectorAll('.toast') ?? []) yield ['toast', text.textContent]
  }

  function look (when) {
    for (const [what, words] of shown()) {
      const short = named.split('-')[0]
      const number = Number(words)
      const owner = number ? (number % 2 ? 'ann' : 'bob') : /(ann|bob)-\w+/.exec(words)?.[0] ?? `"${words}"`
      if (owner === (number ? short : named)) note('painted', `${what} ${short}`)
      else note('fault', `${when}: ${what} "${words}" shown to ${named}`)
    }
  }

  // Time passes when a test says so: what a page waits for with a timer still takes as long as ever.
  let passed = 0
  const { now } = Date
  Date.now = () => now() + passed
  window.pass = milliseconds => { passed += milliseconds }

  /** Until this page has asked and shows what it has to show, or, at most, for as long. */
  window.settled = most => new Promise(resolve => {
    const end = performance.now() + most
    const see = () => {
      const bell = document.querySelector('pns-bell')
      const done = !asking && ['live', 'logged-out'].includes(bell?.state) && !root?.querySelector('[aria-busy=true]')
      if (done || performance.now() > end) resolve(bell?.state ?? '')
      else setTimeout(see, 5)
    }
    see()
  })
  window.facts = () => JSON.stringify(Object.keys(localStorage))
})()
