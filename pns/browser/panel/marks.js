// What the marks of one notification are: what the server has said, and upon it what is on its way to the server, so
// that a click shows at once, and is taken back where the server says no.

const MARKS = {
  read: { read: true },
  unread: { read: false, archived: false },
  archived: { read: true, archived: true },
  unarchived: { archived: false }
}

export class Marks {
  #kept
  #asked = []

  constructor (item) {
    this.take(item)
  }

  /** `read` and `archived`, as they are shown. */
  get shown () {
    return this.#asked.reduce((marks, as) => ({ ...marks, ...MARKS[as] }), this.#kept)
  }

  /** The server's word of it. */
  take (item) {
    this.#kept = { read: Boolean(item.read_date), archived: Boolean(item.archived_date) }
  }

  get isAsked () {
    return this.#asked.length > 0
  }

  ask (as) {
    this.#asked.push(as)
  }

  /** The oldest request for `as` is answered. */
  answered (as, done) {
    this.#asked.splice(this.#asked.indexOf(as), 1)
    if (done) this.#kept = { ...this.#kept, ...MARKS[as] }
  }
}

/** What brings back a notification that had these `marks` when it was archived. */
export function unarchiving (marks) {
  return marks.read ? 'unarchived' : 'unread'
}
