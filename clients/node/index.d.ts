import type {
  CategoryInfo, Channels, InboxItem, InstalledDevice, Marks, Notification, PreferenceInfo, PublicationInfo, Published,
  Subscriptions, TimelineItem, UserInfo
} from './types.js'

export * from './types.js'

/** A notification: its data as a string or an object, or an object with `notification_data`. */
export type Given = string | Notification | Record<string, unknown>
export type MarkAs = 'seen' | 'read' | 'unread' | 'archived' | 'unarchived'
export type Channel = 'inbox' | 'push' | 'webhook'

export interface FieldError {
  /** A JSON pointer, such as `/notifications/0/notification_id`, or the name of a parameter. */
  at: string
  message: string
}

/** PNS refused. Nothing was stored, except perhaps with Unreachable and InternalError. Each code has a class of its own. */
export class Problem extends Error {
  /** Of HTTP; 0 without an answer. */
  status: number
  code: string
  title: string
  detail: string
  errors: FieldError[]
}

/** No answer after all tries, or a proxy's. What was asked may have been done: ask again with the same ids. */
export class Unreachable extends Problem {}
export class BadJSON extends Problem {}
export class Unauthorized extends Problem {}
export class NotFound extends Problem {}
export class NotificationIdConflict extends Problem {}
export class PublicationConflict extends Problem {}
export class CategoryRequired extends Problem {}
export class TooLarge extends Problem {}
export class Invalid extends Problem {}
export class NotificationNotKept extends Problem {}
export class UnknownCategory extends Problem {}
export class RateLimited extends Problem {}
export class StoreUnavailable extends Problem {}
export class Overloaded extends Problem {}
export class Draining extends Problem {}
export class InternalError extends Problem {}

/** The webhook is not signed with this secret, or its time is not now. */
export class BadSignature extends Error {}

export interface Options {
  /** An API key of PNS. */
  key: string
  /** Seconds for one try; 10 by default. */
  timeout?: number
  /** Seconds before the first repeat; each later wait is twice the one before. 0.2 by default. */
  firstWait?: number
}

/** PNS as the application sees it. Make one for a process. Each method throws Problem. */
export class PNS {
  constructor (url: string, options: Options)

  /** Store one notification or several for a user, all or none; their ids. Resolved means durable. */
  notify (userId: string, notifications: Given | Given[]): Promise<string[]>
  /** The same for many users, in bodies of 1,000 notifications; all ids, in order. An error leaves the bodies before it stored. */
  notifyUsers (users: Iterable<{ userId: string, notifications: Given | Given[] }>): Promise<string[]>
  /** Remove a notification, or one member of a group. Unknown ones are no error. */
  withdraw (userId: string, notificationId: string, options?: { member?: string }): Promise<void>
  /** Mark notifications, named in one of four ways; how many changed, and the numbers after. */
  mark (userId: string, as: MarkAs, named: {
    notificationIds?: string[], collapseKey?: string, category?: string, all?: true, upTo?: string
  }): Promise<Marks>
  /** All notifications of a user, oldest first, page after page; `pending`: by their deliver_date. */
  notifications (userId: string, options?: {
    category?: string, unread?: true, archived?: boolean, pending?: true
  }): AsyncIterable<InboxItem>

  /** A user's numbers and connected devices; `counts`: also those of categories with something unread, at most 64. */
  user (userId: string, options?: { counts?: 'category' }): Promise<UserInfo>
  /** Remove all that PNS has of a user, and end the connections. */
  erase (userId: string): Promise<void>
  /** End the connections of a user, or of one device: at a logout, or after a changed password. */
  disconnect (userId: string, options?: { deviceId?: string }): Promise<void>
  /** The user's devices at push networks. */
  devices (userId: string): Promise<InstalledDevice[]>
  /** Push to this device no more. Throws NotFound for a device that is not the user's. */
  removeDevice (userId: string, deviceId: string): Promise<void>
  /**
   * What happened to the user's notifications, a page of it, newest first. `before`: the `id` of the last line of the page
   * before. An empty page is the end.
   */
  timeline (userId: string, options?: { before?: string, limit?: number }): Promise<TimelineItem[]>

  categories (): Promise<CategoryInfo[]>
  /** Show a category among the users' preferences, or declare it anew: what is not given is empty then. */
  declareCategory (category: string, title: string, options?: {
    description?: string, defaults?: Channels, required?: Channel[]
  }): Promise<void>
  /** Show a category no more, and forget what users chose. Notifications of it stay. */
  removeCategory (category: string): Promise<void>
  /** What a user chose, for each declared category. */
  preferences (userId: string): Promise<PreferenceInfo[]>
  /** Choose for a user; categories and channels that are not named stay. */
  setPreferences (userId: string, preferences: Record<string, Channels>): Promise<PreferenceInfo[]>

  makeTopic (topic: string): Promise<void>
  removeTopic (topic: string): Promise<void>
  removeBucket (bucket: string): Promise<void>
  /** Throws NotFound where there is no such topic. */
  subscribeToTopic (topic: string, userId: string): Promise<void>
  unsubscribeFromTopic (topic: string, userId: string): Promise<void>
  subscribeToBucket (bucket: string, userId: string): Promise<void>
  unsubscribeFromBucket (bucket: string, userId: string): Promise<void>
  subscriptions (userId: string): Promise<Subscriptions>
  /**
   * Notify every subscriber of a topic. Resolved means durable; the spreading follows. `sender`: a name for
   * the pushes, one of their control fields; it leaves out nobody. Throws NotFound where there is no such topic.
   */
  notifyTopic (topic: string, notifications: Given | Given[], options?: {
    publicationId?: string, sender?: string
  }): Promise<Published>
  /** Tell every subscriber of a bucket of a change, such as "DATA_OBJECT_CREATED". `sender`: as of `notifyTopic`. */
  bucketChanged (bucket: string, type: string, options?: {
    objectId?: string, notificationData?: string | Record<string, unknown>, sender?: string, collapse?: boolean,
    push?: Record<string, unknown>, publicationId?: string
  }): Promise<Published>
  /** Notify every known user; `seenWithinDays`: none who was connected last before that. `sender`: as of `notifyTopic`. */
  broadcast (notifications: Given | Given[], options?: {
    publicationId?: string, sender?: string, seenWithinDays?: number
  }): Promise<Published>
  /** How far a publication has come. */
  publication (publicationId: string): Promise<PublicationInfo>
  /** A page of publications, newest first; `before` is the last id of the page before. */
  publications (options?: { before?: string, limit?: number }): Promise<PublicationInfo[]>
  /**
   * Take a publication out of every inbox where it is unseen, and spread it no further. Resolved means durable; the rest
   * follows. Throws NotFound for an unknown one.
   */
  takeBack (publicationId: string): Promise<void>
}

/** The event of a webhook. Throws BadSignature. `body`: the text as it came. `now`: seconds since 1970. */
export function verifyWebhook (
  secret: string,
  headers: Headers | Record<string, string | string[] | undefined>,
  body: string,
  options?: { now?: number }
): { type: string, timestamp: string, data: Record<string, unknown> }
