// Several lists in one place, one of them shown: all, some categories, and what was archived, each behind its tab with
// the number of what is unread in it. To the panel it is a list as any other.
//
// The arrow keys lead through the tabs, and what they come to is shown. A list begins when its tab is shown first, so
// that nothing is marked as seen that nobody has looked at.

import { element } from '../bell-item.js'
import { langOf, ownText, textOf } from '../bell-texts.js'
import { List } from './list.js'

let sets = 0

export class Tabs {
  #host
  #drawn
  #tabs
  #shown // the tab whose list is shown
  #looked = false
  #bar

  /** `names` are categories; `drawn` is called when what is shown has changed. */
  constructor (host, names, drawn) {
    this.#host = host
    this.#drawn = drawn
    const set = ++sets
    const asked = [{}, ...new Set(names)].map(category => typeof category === 'string' ? { category } : category)
    this.#tabs = [...asked, { archived: true }].map((source, at) => this.#tab(source, `tab-${set}-${at}`))
    this.#bar = element('div', { class: 'tabs', part: 'tabs', role: 'tablist', 'aria-label': textOf(host, 'tabs') }, ...this.#tabs.map(({ button }) => button))
    this.root = element('div', { class: 'box' }, this.#bar, ...this.#tabs.map(({ content }) => content))
    this.#bar.addEventListener('keydown', event => this.#arrow(event))
    this.#bar.addEventListener('focusin', ({ target }) => target.scrollIntoView({ block: 'nearest', inline: 'nearest' }))
    this.titled({})
    this.#show(this.#tabs[0])
  }

  get hasUnread () {
    return Boolean(this.#shown?.list.hasUnread)
  }

  readAll () {
    return this.#shown.list.readAll()
  }

  look () {
    this.#looked = true
    this.#shown.list.look()
  }

  changed () {
    this.#shown.list.changed()
  }

  leave () {
    this.#looked = false
    this.#shown.list.leave()
  }

  clear () {
    for (const { list } of this.#tabs) list?.clear()
    this.counted(null)
  }

  turned (state) {
    this.#shown.list.turned(state)
  }

  key (event) {
    if (!this.#bar.contains(event.composedPath()[0])) this.#shown.list.key(event)
  }

  /** What is unread, by the server's word; null while that is not known. */
  counted (counts) {
    for (const { source, number } of this.#tabs) {
      const unread = source.archived ? 0 : source.category ? counts?.categories[source.category]?.unread : counts?.unread
      number.hidden = !unread
      if (unread) {
        number.textContent = new Intl.NumberFormat(langOf(this.#host)).format(unread)
        number.setAttribute('aria-label', textOf(this.#host, 'tab-unread', unread))
      }
    }
  }

  /** The titles that the application has declared for its categories, by their names. */
  titled (titles) {
    for (const { source, words } of this.#tabs) {
      const { category } = source
      words.textContent = category ? ownText(this.#host, `tab-${category}`) ?? titles[category] ?? category
        : textOf(this.#host, source.archived ? 'tab-archived' : 'tab-all')
    }
  }

  #tab (source, id) {
    const words = element('span', { dir: 'auto' })
    const number = element('span', { part: 'tab-count', role: 'img', hidden: '' })
    const button = element('button', { id, part: 'tab', type: 'button', role: 'tab', 'aria-selected': 'false', 'aria-controls': `${id}-list`, tabindex: -1 }, words, number)
    const content = element('div', { id: `${id}-list`, class: 'box', role: 'tabpanel', 'aria-labelledby': id, hidden: '' })
    const tab = { source, words, number, button, content, list: null }
    button.addEventListener('click', () => this.#show(tab))
    return tab
  }

  #show (tab) {
    const before = this.#shown
    if (tab === before) return
    before?.list.leave()
    if (!tab.list) {
      tab.list = new List(this.#host, tab.source, () => tab === this.#shown && this.#drawn())
      tab.content.append(tab.list.root)
    }
    this.#shown = tab
    for (const { button, content } of this.#tabs) {
      const isShown = button === tab.button
      button.setAttribute('aria-selected', String(isShown))
      button.tabIndex = isShown ? 0 : -1
      content.hidden = !isShown
    }
    tab.list.turned(this.#host.state)
    if (this.#looked) tab.list.look()
    this.#drawn()
  }

  #arrow (event) {
    const { direction } = getComputedStyle(this.#bar)
    const [back, on] = direction === 'rtl' ? ['ArrowRight', 'ArrowLeft'] : ['ArrowLeft', 'ArrowRight']
    const at = this.#tabs.indexOf(this.#shown)
    const to = { [back]: at - 1, [on]: at + 1, Home: 0, End: -1 }[event.key]
    if (to === undefined) return
    event.preventDefault()
    event.stopPropagation()
    const tab = this.#tabs.at(to % this.#tabs.length)
    this.#show(tab)
    tab.button.focus()
  }
}
