// The panel: what is new, and below it what was seen before, page by page. Whatever it has shown to somebody is
// marked as seen, and nothing else is. It asks the client; where it stands and what opens it is the bell's.

import { BELL, age, contentOf, drawing, element, filled, itemOf, timeOf } from './bell-item.js'
import { langOf, textOf } from './bell-texts.js'

const FRAME = 50 // items built in one frame
const PAGE = 20 // seen ones asked for at once
const SECONDS = 1000

export class Panel {
  #bell
  #shown = new Set() // by notification_id
  #before = '' // where the seen ones go on; null at their end
  #work = null // the loading under way
  #again = false // something came meanwhile
  #stale = true // what is listed is of the last time it was open
  #epoch = 0 // rises when the list is somebody else's; what was asked for before is not shown then

  constructor (bell) {
    this.#bell = bell
    const text = name => textOf(bell, name)
    this.title = element('h2', { id: 'title', part: 'title' }, text('label'))
    this.closer = element('button', { class: 'close', part: 'close', type: 'button', 'aria-label': text('close') }, drawing('M5 5l14 14M19 5L5 19'))
    this.line = element('span')
    this.retry = element('button', { part: 'retry', type: 'button' }, text('retry'))
    this.state = element('div', { class: 'state', part: 'state', hidden: '' }, this.line, this.retry)
    this.fresh = element('ul', { class: 'new', part: 'list', 'aria-labelledby': 'new', role: 'list' })
    this.seen = element('ul', { part: 'list', 'aria-labelledby': 'earlier', role: 'list' })
    this.headings = [element('h3', { id: 'new', part: 'heading' }, text('new')), element('h3', { id: 'earlier', part: 'heading' }, text('earlier'))]
    this.older = element('button', { class: 'older', part: 'older', type: 'button', hidden: '' }, text('older'))
    this.loading = element('p', { class: 'loading', part: 'loading' }, text('loading'))
    this.empty = element('div', { class: 'empty', part: 'empty', hidden: '' }, drawing(BELL), element('b', {}, text('empty')), element('span', {}, text('empty-hint')))
    this.list = element('div', { class: 'list', part: 'lists' }, this.headings[0], this.fresh, this.headings[1], this.seen, this.loading, this.empty, this.older)
    this.root = element('div', { id: 'panel', class: 'panel', part: 'panel', role: 'dialog', 'aria-labelledby': 'title', tabindex: -1, hidden: '' },
      element('div', { class: 'head', part: 'head' }, this.title, this.closer), this.state, this.list)
    this.older.addEventListener('click', () => this.#older())
    this.root.addEventListener('keydown', event => this.#key(event))
    this.#headings()
  }

  /** Forget everything, as when somebody else has logged in; also what is still on its way. */
  clear () {
    this.#epoch++
    this.#reset()
  }

  #reset () {
    // What is taken away must not take the focus with it.
    if (this.list.contains(this.root.getRootNode().activeElement)) this.root.focus()
    this.#shown.clear()
    this.#before = ''
    this.#stale = true
    this.fresh.replaceChildren()
    this.seen.replaceChildren()
    this.older.hidden = true
    this.empty.hidden = true
    this.loading.hidden = false
    this.#headings()
  }

  /** The panel has been closed: the next time it begins anew. */
  leave () {
    this.#stale = true
  }

  /** Load what is new, show it and mark it; one at a time, and once more if something comes meanwhile. */
  async load () {
    this.#again = true
    this.#work ??= this.#loadAll().finally(() => {
      this.#work = null
      this.list.setAttribute('aria-busy', 'false')
    })
    return this.#work
  }

  async #loadAll () {
    this.list.setAttribute('aria-busy', 'true')
    while (this.#again && this.#watched()) {
      this.#again = false
      await this.#loadOnce().catch(error => this.#failed(error))
    }
  }

  async #loadOnce () {
    const { client } = this.#bell
    const epoch = this.#epoch
    const [unseen, seen] = await Promise.all([client.unseen({ ack: true }), this.#stale ? this.#page('') : null])
    if (epoch !== this.#epoch) return
    await this.#show(unseen, seen)
    if (!unseen.length || epoch !== this.#epoch || !this.#watched()) return
    await client.markSeen(unseen.at(-1).notification_id)
    this.#bell.marked(unseen)
    this.#again ||= client.count > 0
  }

  #watched () {
    return !this.root.hidden && document.visibilityState === 'visible'
  }

  async #show (unseen, seen) {
    if (seen) {
      this.#reset()
      this.#stale = false
    }
    this.loading.hidden = true
    const epoch = this.#epoch
    await this.#add(this.fresh, [...unseen].reverse(), this.fresh.firstChild)
    // Each wait may end in a list that is somebody else's.
    if (seen && epoch === this.#epoch) await this.#append(seen)
    if (epoch === this.#epoch) this.empty.hidden = this.#shown.size > 0
  }

  /** PAGE seen ones, newest first; fewer only at the end, though the server may cut a page shorter. */
  async #page (before) {
    const items = []
    for (let more; items.length < PAGE; items.push(...more)) {
      more = await this.#bell.client.seen({ before: items.at(-1)?.notification_id ?? before, limit: PAGE - items.length })
      if (!more.length) break
    }
    return items
  }

  async #older () {
    const epoch = this.#epoch
    this.older.disabled = true
    try {
      // What was marked since may stand among them again: a page of those alone is none.
      for (let added = 0; !added && this.#before !== null;) {
        const items = await this.#page(this.#before)
        if (epoch !== this.#epoch) return
        added = await this.#append(items)
      }
    } catch (error) {
      if (error.code === 'unknown_notification') this.#before = ''
      this.#failed(error)
    } finally {
      this.older.disabled = false
    }
  }

  async #append (items) {
    this.#before = items.length === PAGE ? items.at(-1).notification_id : null
    this.older.hidden = this.#before === null
    const focused = this.older.matches(':focus')
    const size = this.#shown.size
    const first = await this.#add(this.seen, items, null)
    if (focused) this.#focus(first)
    return this.#shown.size - size
  }

  /** Build the items that are not listed yet, at most FRAME a frame, before `anchor`; returns the first. */
  async #add (list, items, anchor) {
    const epoch = this.#epoch
    const missing = items.filter(item => !this.#shown.has(item.notification_id))
    let first = null
    for (let start = 0; start < missing.length; start += FRAME) {
      await frame()
      if (epoch !== this.#epoch) return first
      const batch = document.createDocumentFragment()
      for (const item of missing.slice(start, start + FRAME)) {
        this.#shown.add(item.notification_id)
        batch.append(this.#entry(item, list === this.fresh))
      }
      first ??= batch.firstChild
      list.insertBefore(batch, anchor)
      this.#headings()
    }
    return first
  }

  #entry (notification, fresh) {
    const bell = this.#bell
    const content = contentOf(notification.notification_data)
    const time = timeOf(notification.create_date, langOf(bell))
    const template = bell.querySelector(':scope > template[data-item]')
    const made = rendered(bell.render, notification, content) ??
      (template ? filled(template, content, time) : itemOf(content, time))
    const entry = element('li', { part: 'entry' }, made)
    const target = focusable(entry)
    if (fresh && target.part.contains('item')) target.part.add('item-new')
    target.addEventListener('click', event => {
      const told = new CustomEvent('pns-click', { detail: { notification, content }, bubbles: true, composed: true, cancelable: true })
      if (!bell.dispatchEvent(told)) event.preventDefault()
    })
    return entry
  }

  #headings () {
    this.headings[0].hidden = this.fresh.hidden = !this.fresh.firstChild
    this.headings[1].hidden = this.seen.hidden = !this.seen.firstChild
    const items = this.#items()
    if (items.length && !items.some(item => item.tabIndex === 0)) items[0].tabIndex = 0
  }

  #failed (error) {
    // The others have their own words in the bell's state.
    if (!['disconnected', 'unauthorized'].includes(error.code)) this.#bell.failed(error)
  }

  #items () {
    return [...this.list.querySelectorAll('li')].map(focusable)
  }

  #focus (entry) {
    if (!entry) return this.root.focus()
    for (const item of this.#items()) item.tabIndex = -1
    const target = focusable(entry)
    target.tabIndex = 0
    target.focus()
  }

  #key (event) {
    const entries = [...this.list.querySelectorAll('li')]
    const at = entries.indexOf(event.composedPath()[0].closest?.('li'))
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: entries.length - 1 }[event.key]
    if (event.key === 'Enter' && at >= 0 && event.target.localName === 'div') event.target.click()
    if (to === undefined || !entries.length) return
    event.preventDefault()
    this.#focus(entries[Math.max(0, Math.min(to, entries.length - 1))])
  }

  /** Word the ages of the items anew. */
  age () {
    const lang = langOf(this.#bell)
    for (const time of this.list.querySelectorAll('time')) time.textContent = age(time.dateTime, lang)
  }

  /** Say `text` above the list, or nothing. */
  say (text, state) {
    this.state.hidden = !text
    this.state.className = `state ${state}`
    this.retry.hidden = state === 'connecting'
    if (this.line.textContent !== text) this.line.textContent = text
    const nothing = this.#stale && !this.#shown.size
    this.loading.hidden = !nothing || !['live', 'connecting'].includes(state)
    this.list.hidden = nothing && this.loading.hidden
  }
}

/** Milliseconds until the panel is asked to word the ages anew. */
export const AGE_EVERY = 30 * SECONDS

function rendered (render, notification, content) {
  const made = render?.(notification, content)
  return made === undefined || made === null ? null : made
}

/** What takes the focus in an entry: its link or button, else the first element, else the entry itself. */
function focusable (entry) {
  const target = entry.querySelector('a[href], button') ?? entry.firstElementChild ?? entry
  if (!target.hasAttribute('tabindex')) target.tabIndex = -1
  return target
}

function frame () {
  // A page that is not shown has no frames.
  return new Promise(resolve => document.hidden ? setTimeout(resolve) : requestAnimationFrame(resolve))
}
