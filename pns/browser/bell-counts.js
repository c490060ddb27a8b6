// What is unread, in all and of the categories whose tabs are shown, as an element shows it. A new connection is asked
// for the numbers again: what was told stays until that has answered, unless it does not.

const ANSWERED_IN = 3000 // milliseconds; PNS of a release before never tells any

export class Numbers {
  /** The last ones that were told of this user; null where none are known. */
  told = null
  #host
  #drawn
  #timer

  /** `drawn` is called with what is to be shown from now on. */
  constructor (host, drawn) {
    this.#host = host
    this.#drawn = drawn
  }

  /** The categories that have a tab; null without tabs. */
  get names () {
    return this.#host.getAttribute('tabs')?.split(/[\s,]+/).filter(Boolean) ?? null
  }

  /** Of how many unread ones the badge tells; undefined where it tells of the unseen ones. */
  get onBadge () {
    return this.#host.getAttribute('badge') === 'unread' ? this.told?.unread : undefined
  }

  /** Ask PNS for them, where they are shown or `wanted`; a client.js of a release before cannot. */
  follow (client, wanted = false) {
    if (wanted || this.names || this.#host.getAttribute('badge') === 'unread') client.followCounts?.(this.names ?? [])
  }

  take (counts) {
    clearTimeout(this.#timer)
    if (!counts && this.told) this.#timer = setTimeout(() => this.#tell(null), ANSWERED_IN)
    else this.#tell(counts)
  }

  /** Somebody else's are not shown for a moment. */
  forget () {
    clearTimeout(this.#timer)
    this.#tell(null)
  }

  #tell (counts) {
    this.told = counts
    this.#drawn(counts)
  }
}
