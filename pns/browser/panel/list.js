// A list of notifications: what is new, and below it what was seen before, page by page. Whatever it has shown to
// somebody is marked as seen, and nothing else is, until its user says more. It asks the client of the element whose
// list it is, its host; where the list stands and what opens it is the host's.
//
// A host is an element with `client`, `state` and `render`, and is told `failed(error)` where something could not be
// loaded, and `marked(notifications)` where some were shown and marked. Its attributes and templates word the list.

import { BELL, drawing, element } from '../bell-item.js'
import { addTexts, langOf, textOf } from '../bell-texts.js'
import { Deeds } from './deeds.js'
import { Entry } from './entry.js'
import { age } from './item.js'
import { Roving } from './roving.js'
import { Source } from './source.js'
import { swipe } from './swipe.js'
import { LIST_TEXTS } from './texts.js'

const FRAME = 50 // items built in one frame
const READ_EVERY = 1000 // milliseconds between two readings of what is listed already
const AGE_EVERY = 30_000 // milliseconds until the ages are worded anew

addTexts(LIST_TEXTS)

let lists = 0

export class List {
  roving = new Roving()
  #host
  #source
  #drawn
  #deeds
  #entries = new Map() // by notification_id
  #roots = new WeakMap() // the same, by their elements
  #before = '' // where the seen ones go on; null at their end
  #work = null // the loading under way
  #again = false // something came meanwhile
  #due = false // what is listed may have changed
  #read = -READ_EVERY // when it was read last
  #stale = true // what is listed is of the last time it was looked at
  #shown = false
  #epoch = 0 // rises when the list begins anew; what was asked for before is not shown then
  #paging = null // the epoch of the older ones that are asked for
  #timers = {}

  /**
   * `asked` says which notifications: those of a `category`, the `archived` ones, or without both all others.
   * `drawn` is called when what is shown has changed.
   */
  constructor (host, asked = {}, drawn = () => {}) {
    this.#host = host
    this.#drawn = drawn
    this.#source = new Source(host, asked)
    this.#deeds = new Deeds(host, this.#source, this)
    this.#build(name => textOf(host, name), ++lists)
    this.root.addEventListener('click', event => this.#deeds.swallow(event), { capture: true })
    this.root.addEventListener('focusin', ({ target }) => this.roving.reach(this.#entryOf(target.closest('li'))))
    this.older.addEventListener('click', () => this.#older())
    if (!this.#source.archived) {
      for (const list of [this.fresh, this.seen]) swipe(list, root => this.#deeds.archive(this.#entryOf(root)))
    }
    this.draw()
  }

  #build (text, number) {
    const heading = name => element('h3', { id: `${name}-${number}`, part: 'heading' }, text(name))
    this.headings = [heading('new'), heading('earlier')]
    const [fresh, seen] = this.headings.map(({ id }) => element('ul', { part: 'list', 'aria-labelledby': id, role: 'list' }))
    fresh.className = 'new'
    this.fresh = fresh
    this.seen = seen
    this.older = element('button', { class: 'older', part: 'older', type: 'button', hidden: '' }, text('older'))
    this.loading = element('p', { class: 'loading', part: 'loading' }, text('loading'))
    this.empty = element('div', { class: 'empty', part: 'empty', hidden: '' }, drawing(BELL), element('b', {}, text('empty')), element('span', {}, text('empty-hint')))
    this.root = element('div', { class: 'box' },
      element('div', { class: 'list', part: 'lists' }, this.headings[0], fresh, this.headings[1], seen, this.loading, this.empty, this.older),
      ...this.#deeds.parts)
  }

  /** Something that is listed can be marked as read. */
  get hasUnread () {
    return this.#source.able && this.visible().some(({ marks }) => !marks.read)
  }

  /** All that is listed, and what is older, is read. */
  readAll () {
    return this.#deeds.readAll()
  }

  /**
   * From now on somebody looks at this list: what is new is loaded, shown and marked, as soon as the host is live.
   * Asked again, once more.
   */
  look () {
    this.#shown = true
    this.#timers.age ??= setInterval(() => this.#age(), AGE_EVERY)
    if (this.#host.state !== 'live') return
    this.#deeds.begin()
    this.#load()
  }

  /** Something was marked, withdrawn or replaced, here or elsewhere: what is listed is read again, if it is shown. */
  changed () {
    this.#due = true
    if (!this.#shown) return
    const wait = this.#read + READ_EVERY - performance.now()
    const again = () => {
      this.#timers.read = null
      this.look()
    }
    if (wait > 0) this.#timers.read ??= setTimeout(again, wait)
    this.look()
  }

  /** Nobody looks at it any more: the next time it begins anew, without what is still on its way. */
  leave () {
    this.#epoch++
    this.#shown = false
    this.#stale = true
    this.#deeds.rest()
    clearInterval(this.#timers.age)
    clearTimeout(this.#timers.read)
    this.#timers = {}
  }

  /** Forget everything, as when somebody else has logged in; also what is still on its way. */
  clear () {
    this.#epoch++
    this.#deeds.end()
    this.#reset()
  }

  /** The host's state: without a connection a list that has nothing to show is not there. */
  turned (state) {
    const nothing = this.#stale && !this.#entries.size
    this.loading.hidden = !nothing || !['live', 'connecting'].includes(state)
    this.root.hidden = nothing && this.loading.hidden
  }

  /** The keys of a list: see roving.js. Delete archives, and what is usual to take something back does so. */
  key (event) {
    const at = event.composedPath()[0]
    const entry = this.visible().find(({ controls }) => controls.includes(at))
    if ((event.ctrlKey || event.metaKey) && event.key === 'z') {
      if (this.#deeds.takeBack()) event.preventDefault()
    } else if (event.key === 'Delete' && entry && !this.#source.archived) this.#deeds.archive(entry)
    else if (event.key === 'Enter' && entry && at.localName === 'div') at.click()
    else this.roving.key(event, this.visible(), entry)
  }

  has (entry) {
    return this.#entries.get(entry.id) === entry
  }

  // ── loading ──

  #reset () {
    this.#deeds.rest()
    this.#letFocusGo()
    this.#entries.clear()
    this.#before = ''
    this.#stale = true
    this.fresh.replaceChildren()
    this.seen.replaceChildren()
    this.older.hidden = true
    this.loading.hidden = false
    this.draw()
  }

  /** One at a time, and once more if something comes meanwhile. */
  async #load () {
    this.#again = true
    this.#work ??= this.#loadAll().finally(() => {
      this.#work = null
      this.root.setAttribute('aria-busy', 'false')
    })
    return this.#work
  }

  async #loadAll () {
    this.root.setAttribute('aria-busy', 'true')
    while (this.#again && this.#watched()) {
      this.#again = false
      await this.#loadOnce().catch(error => this.#failed(error))
    }
  }

  async #loadOnce () {
    const epoch = this.#epoch
    const [unseen, seen] = await Promise.all([this.#source.unseen(), this.#stale ? this.#newest() : null])
    if (epoch !== this.#epoch) return
    await this.#show(unseen, seen)
    if (unseen.length && epoch === this.#epoch && this.#watched()) await this.#see(unseen)
    if (this.#due && !this.#timers.read && epoch === this.#epoch) await this.#readAgain()
  }

  async #see (unseen) {
    const ids = unseen.map(item => item.notification_id)
    await this.#source.see(ids)
    for (const id of ids) this.#entries.get(id)?.saw()
    this.#host.marked(unseen)
    this.#again ||= this.#source.hasMore
  }

  #watched () {
    return this.#shown && document.visibilityState === 'visible'
  }

  async #show (unseen, seen) {
    if (seen) {
      this.#reset()
      this.#stale = false
    }
    this.loading.hidden = true
    const epoch = this.#epoch
    for (const { notification_id: id } of unseen) {
      const known = this.#entries.get(id)
      // It was snoozed, and is new again.
      if (known?.marks.archived) this.#drop(known)
    }
    await this.#add(this.fresh, [...unseen].reverse(), this.fresh.firstChild)
    // Each wait may end in a list that has begun anew.
    if (seen && epoch === this.#epoch) await this.#append(seen)
    if (epoch === this.#epoch) this.draw()
  }

  /** The newest seen ones, as PNS has them now. Of what changes from now on the answer may know nothing. */
  #newest (least) {
    this.#due = false
    this.#read = performance.now()
    return this.#source.page('', least)
  }

  /** What is listed, as PNS has it now: what went goes, what came is where it belongs, and each mark is PNS's. */
  async #readAgain () {
    const epoch = this.#epoch
    const before = this.#before
    const { count } = this.#deeds
    const sure = [...this.#entries.values()].filter(({ isSeen }) => isSeen)
    const { items, next } = await this.#newest(before === null ? sure.length + 1 : sure.length)
    if (epoch !== this.#epoch) return
    if (count !== this.#deeds.count) {
      // What was clicked meanwhile may not be in this answer yet.
      this.#due = this.#again = true
      return
    }
    const found = new Set(items.map(item => item.notification_id))
    for (const entry of sure) if (!found.has(entry.id)) this.#drop(entry)
    this.#merge(items)
    // Older ones may have come meanwhile: then the list goes on behind those.
    if (before === this.#before) this.#goOn(next)
    this.draw()
  }

  #drop (entry) {
    if (this.#deeds.keeps(entry)) return
    this.roving.leave(entry, this.visible(), this.root)
    this.#entries.delete(entry.id)
    entry.remove()
  }

  #goOn (before) {
    this.#before = before
    this.older.hidden = before === null
  }

  #merge (items) {
    let at = this.seen.firstElementChild
    for (const item of items) {
      const known = this.#entries.get(item.notification_id)
      const entry = known?.says(item) ? known : this.#entry(item, Boolean(known?.fresh))
      entry.take(item)
      if (known && known !== entry) known.become(entry)
      if (entry.root === at || known?.root === at) at = entry.root.nextElementSibling
      else if (!entry.isPlaced) this.seen.insertBefore(entry.root, at)
    }
  }

  async #older () {
    const epoch = this.#epoch
    // A button that is disabled meanwhile would lose the focus.
    if (this.#paging === epoch) return
    this.#paging = epoch
    try {
      // What was marked since may stand among them again: a page of those alone is none.
      for (let added = 0; !added && this.#before !== null;) {
        const page = await this.#source.page(this.#before)
        if (epoch !== this.#epoch) return
        added = await this.#append(page)
      }
    } catch (error) {
      if (error.code === 'unknown_notification') this.#before = ''
      this.#failed(error)
    } finally {
      this.#paging = null
    }
  }

  async #append ({ items, next }) {
    const focused = this.older.matches(':focus')
    this.#goOn(next)
    const size = this.#entries.size
    const first = await this.#add(this.seen, items, null)
    if (focused && first) this.roving.focus(first)
    return this.#entries.size - size
  }

  /** Build the items that are not listed yet, at most FRAME a frame, before `anchor`; returns the first. */
  async #add (list, items, anchor) {
    const epoch = this.#epoch
    const missing = items.filter(item => !this.#entries.has(item.notification_id))
    let first = null
    for (let start = 0; start < missing.length; start += FRAME) {
      await frame()
      if (epoch !== this.#epoch) return first
      const made = missing.slice(start, start + FRAME).map(item => this.#entry(item, list === this.fresh))
      first ??= made[0]
      for (const { root } of made) list.insertBefore(root, anchor)
      this.draw()
    }
    return first
  }

  #entry (item, fresh) {
    const entry = new Entry(this.#host, item, { fresh, able: this.#source.able, deeds: this.#deeds })
    this.#entries.set(entry.id, entry)
    this.#roots.set(entry.root, entry)
    return entry
  }

  #failed (error) {
    this.#due = true
    // The others have their own words in the host's state.
    if (!['disconnected', 'unauthorized'].includes(error.code)) this.#host.failed(error)
  }

  // ── what is shown ──

  draw () {
    for (const entry of this.#entries.values()) entry.stand(entry.marks.archived === this.#source.archived)
    const lists = [this.fresh, this.seen]
    lists.forEach((list, at) => { this.headings[at].hidden = list.hidden = !list.children.length })
    const visible = this.visible()
    this.empty.hidden = this.#stale || !this.loading.hidden || visible.length > 0
    this.roving.settle(visible)
    this.#drawn()
  }

  /** The entries that can be seen, from above. */
  visible () {
    return [...this.fresh.children, ...this.seen.children].map(root => this.#entryOf(root))
  }

  #entryOf (root) {
    return this.#roots.get(root)
  }

  /** What is taken away must not take the focus with it. */
  #letFocusGo () {
    const { activeElement } = this.root.getRootNode()
    if (this.root.contains(activeElement)) this.root.closest('[role=dialog]')?.focus()
  }

  #age () {
    const lang = langOf(this.#host)
    for (const time of this.root.querySelectorAll('time')) time.textContent = age(time.dateTime, lang)
  }
}

function frame () {
  // A page that is not shown has no frames.
  return new Promise(resolve => document.visibilityState === 'visible' ? requestAnimationFrame(resolve) : setTimeout(resolve))
}
