// Where a list gets its notifications from, and where what it has shown is marked as seen.

const PAGE = 20 // seen ones asked for at once
const MARKED = 50 // ids in one mark

export class Source {
  #host
  #asked
  #knowsMarks = true

  /** `asked`: those of a `category`, the `archived` ones, or without both all others. */
  constructor (host, asked) {
    this.#host = host
    this.#asked = asked
  }

  /** PNS keeps marks, and the client can ask for them; those of a release before do not. */
  get able () {
    return this.#knowsMarks && Boolean(this.client?.mark)
  }

  get archived () {
    return Boolean(this.#asked.archived)
  }

  /** All of them, as a mark names them. */
  get all () {
    const { category } = this.#asked
    return category ? { category } : { all: true }
  }

  get client () {
    return this.#host.client
  }

  async unseen () {
    const { category } = this.#asked
    return this.archived ? [] : this.client.unseen({ ack: true, category })
  }

  /** These were shown. A page of one category says nothing of the others: each of it is named. */
  async see (ids) {
    if (!this.#asked.category) return this.client.markSeen(ids.at(-1))
    for (let at = 0; at < ids.length; at += MARKED) await this.client.mark({ as: 'seen', ids: ids.slice(at, at + MARKED) })
  }

  /** More may have come than was asked for. */
  get hasMore () {
    return this.client.count > 0 && !this.#asked.category && !this.archived
  }

  /** Seen ones, newest first, and where they go on, null at their end; the server may cut a page shorter. */
  async page (before, least = 0) {
    const wanted = Math.max(PAGE, least)
    const items = []
    for (let more; items.length < wanted; items.push(...more)) {
      const from = items.at(-1)?.notification_id ?? before
      more = await this.#seen({ ...this.#asked, before: from, limit: wanted - items.length })
      if (!more.length) break
    }
    return { items, next: items.length < wanted ? null : items.at(-1).notification_id }
  }

  /** PNS of a release before refuses what it does not know: it keeps no marks. */
  async #seen (asked) {
    try {
      if (this.able) return await this.client.seen({ archived: false, ...asked })
    } catch (error) {
      if (error.code !== 'bad_request' || asked.archived || asked.category) throw error
      this.#knowsMarks = false
    }
    return this.client.seen(asked)
  }
}
