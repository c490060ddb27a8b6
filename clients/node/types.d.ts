// The objects of the wire, made from PNS's openapi.json by clients/make.py. Do not edit.

/** A notification as the application submits it. */
export interface Notification {
  notification_data: string | Record<string, unknown> | unknown[]
  notification_id?: string | null
  create_date?: string | null
  category?: string | null
  collapse_key?: string | null
  expire_date?: string | null
  push?: Record<string, unknown> | null
  group?: GroupMember | null
  webhook?: false | WebhookControls | null
  deliver_date?: string | null
}

/** The part of a notification that makes a group: whose it is, such as `user:7`, the user who liked. */
export interface GroupMember {
  member: string
  data?: string | null
}

/** When the application may be told that a notification is still unseen; never how often. */
export interface WebhookControls {
  unseen_after_seconds: number
}

/** `categories`, only if asked for: those with something unread, at most 64, the first by name. */
export interface UserInfo {
  user_id: string
  unseen: number
  unread: number
  devices: Array<DeviceInfo>
  categories?: Record<string, CategoryCount>
  more?: boolean
}

/** `connections` are the device's on all nodes. */
export interface DeviceInfo {
  device_id: string
  connections: number
  connected_since: string
  here?: number
}

/** The unseen and the unread notifications of one category. */
export interface CategoryCount {
  unseen: number
  unread: number
}

/** A notification as the application reads its user's inbox. */
export interface InboxItem {
  notification_id: string
  notification_data: string
  create_date: string
  category?: string
  collapse_key?: string
  expire_date?: string
  group?: Group
  seen_date: string | null
  read_date?: string
  archived_date?: string
  deliver_date?: string
}

/** The group of a notification. */
export interface Group {
  times: number
  members: number
  latest: Array<LatestMember>
  more?: boolean
}

/** A member of a group as an item shows the member. */
export interface LatestMember {
  member: string
  data?: string
}

/** `changed`: notifications that a mark really changed. */
export interface Marks {
  changed: number
  unseen: number
  unread: number
}

/** A device at a push network. */
export interface InstalledDevice {
  device_id: string
  network: string
  gateway: string
  app: string
  environment: string
  platform: string
  badge: number | null
  registered_at: string
  expires_at: string | null
  connections: number
}

/** A declared category, as declared. */
export interface CategoryInfo {
  category: string
  title: string
  description: string
  defaults: Channels
  required: Array<'inbox' | 'push' | 'webhook'>
}

/** For each channel on or off; a missing channel stays as before, and is on in a declaration. */
export interface Channels {
  inbox?: boolean
  push?: boolean
  webhook?: boolean
}

/** A category, and for each channel whether the channel is on for this user. */
export interface PreferenceInfo {
  category: string
  title: string
  description: string
  inbox: boolean
  push: boolean
  webhook: boolean
  required: Array<'inbox' | 'push' | 'webhook'>
}

/** The publication, and the ids that its notifications have in every inbox. */
export interface Published {
  publication_id: string
  notification_ids: Array<string>
}

/** `reached`: users so far. */
export interface PublicationInfo {
  topic?: string
  bucket?: string
  publication_id: string
  notification_ids: Array<string>
  reached: number
  create_date: string
  end_date: string | null
  taken_back?: number
  taken_back_date?: string | null
}

export interface Subscriptions {
  topics: Array<string>
  buckets: Array<string>
}

/** A line of a user's timeline. */
export interface TimelineItem {
  id: string
  at: string
  what: 'archived' | 'expired' | 'muted' | 'pushed' | 'read' | 'replaced' | 'seen' | 'stored' | 'webhook' | 'withdrawn'
  notification_id: string
  category?: string
  detail?: string
  device_id?: string
  network?: string
  gateway?: string
  state?: 'accepted' | 'cancelled' | 'device_invalid' | 'expired' | 'failed' | 'queued' | 'retry' | 'seen' | 'sending'
  attempts?: number
  reason?: string
  provider_id?: string
  due_at?: string
}
