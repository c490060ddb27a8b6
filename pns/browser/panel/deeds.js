// What a user does with the entries of a list: it shows at once, is taken back with words where PNS says no, and can
// be taken back for a while by its user.

import { snoozingOf } from '../bell-load.js'
import { textOf } from '../bell-texts.js'
import { unarchiving } from './marks.js'
import { Menu } from './menu.js'
import { Notice } from './notice.js'

export class Deeds {
  #host
  #source
  #list
  #menu = new Menu()
  #notice = new Notice()
  #snoozing = null // once it is known that PNS can
  #kept = new Set() // what can still be taken back
  #acted = false // the click before did something: a second one of a double click does nothing
  #gone = 0 // rises when the list is somebody else's

  /** `list` has `root`, `roving`, `visible()`, `has(entry)`, `draw()` and `changed()`. */
  constructor (host, source, list) {
    this.#host = host
    this.#source = source
    this.#list = list
    this.parts = [this.#notice.root, this.#menu.root]
    this.count = 0 // rises with each mark, and with its answer
  }

  /** Somebody looks at the list. */
  async begin () {
    if (this.#source.able) this.#snoozing = await snoozingOf(this.#host, this.#list.root)
  }

  /** The list is another one's, or nobody looks at it. */
  end () {
    this.#gone++
    this.rest()
    this.#kept.clear()
  }

  rest () {
    this.#menu.close()
    this.#notice.hide()
  }

  /** It may not leave the list's memory yet. */
  keeps (entry) {
    return entry.isAsked || (this.#kept.has(entry) && this.#notice.isOn)
  }

  opened (entry) {
    this.#acted = true
    if (this.#source.able && !entry.marks.read) this.#mark('read', [entry])
  }

  /** The menu of an entry. */
  choose (entry) {
    if (entry.menu.getAttribute('aria-expanded') === 'true') return this.#menu.close()
    const { read, archived } = entry.marks
    const choice = (name, act, more) => [this.#text(name), () => {
      this.#acted = true
      act()
    }, more]
    const as = read ? 'unread' : 'read'
    const snoozing = this.#snoozing
    const times = () => this.#menu.open(entry.menu, snoozing.choices(entry, (...how) => this.#away(entry, ...how)))
    this.#menu.open(entry.menu, archived
      ? [choice('unarchive', () => this.unarchive(entry))]
      : [choice(`mark-${as}`, () => this.#mark(as, [entry])),
          ...snoozing?.isAble ? [choice('snooze', times, { 'aria-haspopup': 'menu' })] : [],
          choice('archive', () => this.archive(entry))])
  }

  archive (entry) {
    if (this.#source.able && !entry.marks.archived) this.#away(entry, 'archived', unarchiving(entry.marks))
  }

  unarchive (entry) {
    if (entry.marks.archived) this.#away(entry, 'unarchived', 'archived')
  }

  /** Take back what the notice tells of; false where that is nothing. */
  takeBack () {
    return this.#notice.act()
  }

  /** All that is listed, and what is older, is read; what came since is not. */
  async readAll () {
    const shown = this.#list.visible()
    const done = await this.#mark('read', shown.filter(({ marks }) => !marks.read), async client => {
      for (const { id } of shown) {
        // What was shown first may be withdrawn by now.
        const isKept = await client.mark({ as: 'read', ...this.#source.all, upTo: id }).then(() => true, unknown)
        if (isKept) return
      }
    })
    if (done) this.#notice.say(this.#text('all-read'))
  }

  /** The click that makes a double click of one that did something. */
  swallow (event) {
    if (this.#acted && event.detail > 1) {
      event.preventDefault()
      event.stopPropagation()
    } else this.#acted = false
  }

  /** It leaves the list, and its user can take that back for a while. */
  #away (entry, as, back, words = this.#text(as), send, sendBack) {
    const { roving, root } = this.#list
    roving.leave(entry, this.#list.visible(), root)
    this.#acted = true
    this.#kept.add(entry)
    this.#notice.say(words, this.#text('undo'), () => this.#back(entry, back, sendBack))
    this.#mark(as, [entry], send)
  }

  #back (entry, as, send) {
    this.#acted = true
    this.#notice.say(this.#text('undone'))
    this.#mark(as, [entry], send)
    if (this.#list.has(entry)) this.#list.roving.focus(entry)
  }

  /** True once PNS has said yes. */
  async #mark (as, entries, send = client => client.mark({ as, ids: entries.map(({ id }) => id) })) {
    const gone = this.#gone
    for (const entry of entries) entry.ask(as)
    this.count++
    this.#list.draw()
    const done = await send(this.#source.client).then(() => true, () => false)
    for (const entry of entries) entry.answered(as, done)
    this.count++
    if (gone !== this.#gone) return false
    this.#list.draw()
    if (!done) this.#notice.say(this.#text('not-marked'))
    // It was read anew meanwhile, perhaps as it had been before.
    if (entries.some(entry => !this.#list.has(entry))) this.#list.changed()
    return done
  }

  #text (name) {
    return textOf(this.#host, name)
  }
}

/** False for what is not kept any more. */
function unknown (error) {
  if (error.code === 'unknown_notification') return false
  throw error
}
