// Code generated from PNS's openapi.json by clients/make.py. DO NOT EDIT.

package pns

// Notification: A notification as the application submits it.
type Notification struct {
	NotificationData any          `json:"notification_data"`
	NotificationID   string       `json:"notification_id,omitempty"`
	CreateDate       string       `json:"create_date,omitempty"`
	Category         string       `json:"category,omitempty"`
	CollapseKey      string       `json:"collapse_key,omitempty"`
	ExpireDate       string       `json:"expire_date,omitempty"`
	Push             any          `json:"push,omitempty"`
	Group            *GroupMember `json:"group,omitempty"`
	Webhook          any          `json:"webhook,omitempty"`
	DeliverDate      string       `json:"deliver_date,omitempty"`
}

// GroupMember: The part of a notification that makes a group: whose it is, such as `user:7`, the user who liked.
type GroupMember struct {
	Member string `json:"member"`
	Data   string `json:"data,omitempty"`
}

// WebhookControls: When the application may be told that a notification is still unseen; never how often.
type WebhookControls struct {
	UnseenAfterSeconds float64 `json:"unseen_after_seconds"`
}

// UserInfo: `categories`, only if asked for: those with something unread, at most 64, the first by name.
type UserInfo struct {
	UserID     string                   `json:"user_id"`
	Unseen     int64                    `json:"unseen"`
	Unread     int64                    `json:"unread"`
	Devices    []DeviceInfo             `json:"devices"`
	Categories map[string]CategoryCount `json:"categories,omitempty"`
	More       *bool                    `json:"more,omitempty"`
}

// DeviceInfo: `connections` are the device's on all nodes.
type DeviceInfo struct {
	DeviceID       string `json:"device_id"`
	Connections    int64  `json:"connections"`
	ConnectedSince string `json:"connected_since"`
	Here           *int64 `json:"here,omitempty"`
}

// CategoryCount: The unseen and the unread notifications of one category.
type CategoryCount struct {
	Unseen int64 `json:"unseen"`
	Unread int64 `json:"unread"`
}

// InboxItem: A notification as the application reads its user's inbox.
type InboxItem struct {
	NotificationID   string  `json:"notification_id"`
	NotificationData string  `json:"notification_data"`
	CreateDate       string  `json:"create_date"`
	Category         string  `json:"category,omitempty"`
	CollapseKey      string  `json:"collapse_key,omitempty"`
	ExpireDate       string  `json:"expire_date,omitempty"`
	Group            *Group  `json:"group,omitempty"`
	SeenDate         *string `json:"seen_date"`
	ReadDate         string  `json:"read_date,omitempty"`
	ArchivedDate     string  `json:"archived_date,omitempty"`
	DeliverDate      string  `json:"deliver_date,omitempty"`
}

// Group: The group of a notification.
type Group struct {
	Times   int64          `json:"times"`
	Members int64          `json:"members"`
	Latest  []LatestMember `json:"latest"`
	More    *bool          `json:"more,omitempty"`
}

// LatestMember: A member of a group as an item shows the member.
type LatestMember struct {
	Member string `json:"member"`
	Data   string `json:"data,omitempty"`
}

// Marks: `changed`: notifications that a mark really changed.
type Marks struct {
	Changed int64 `json:"changed"`
	Unseen  int64 `json:"unseen"`
	Unread  int64 `json:"unread"`
}

// InstalledDevice: A device at a push network.
type InstalledDevice struct {
	DeviceID     string  `json:"device_id"`
	Network      string  `json:"network"`
	Gateway      string  `json:"gateway"`
	App          string  `json:"app"`
	Environment  string  `json:"environment"`
	Platform     string  `json:"platform"`
	Badge        *int64  `json:"badge"`
	RegisteredAt string  `json:"registered_at"`
	ExpiresAt    *string `json:"expires_at"`
	Connections  int64   `json:"connections"`
}

// CategoryInfo: A declared category, as declared.
type CategoryInfo struct {
	Category    string   `json:"category"`
	Title       string   `json:"title"`
	Description string   `json:"description"`
	Defaults    Channels `json:"defaults"`
	Required    []string `json:"required"`
}

// Channels: For each channel on or off; a missing channel stays as before, and is on in a declaration.
type Channels struct {
	Inbox   *bool `json:"inbox,omitempty"`
	Push    *bool `json:"push,omitempty"`
	Webhook *bool `json:"webhook,omitempty"`
}

// PreferenceInfo: A category, and for each channel whether the channel is on for this user.
type PreferenceInfo struct {
	Category    string   `json:"category"`
	Title       string   `json:"title"`
	Description string   `json:"description"`
	Inbox       bool     `json:"inbox"`
	Push        bool     `json:"push"`
	Webhook     bool     `json:"webhook"`
	Required    []string `json:"required"`
}

// Published: The publication, and the ids that its notifications have in every inbox.
type Published struct {
	PublicationID   string   `json:"publication_id"`
	NotificationIDs []string `json:"notification_ids"`
}

// PublicationInfo: `reached`: users so far.
type PublicationInfo struct {
	Topic           string   `json:"topic,omitempty"`
	Bucket          string   `json:"bucket,omitempty"`
	PublicationID   string   `json:"publication_id"`
	NotificationIDs []string `json:"notification_ids"`
	Reached         int64    `json:"reached"`
	CreateDate      string   `json:"create_date"`
	EndDate         *string  `json:"end_date"`
	TakenBack       *int64   `json:"taken_back,omitempty"`
	TakenBackDate   string   `json:"taken_back_date,omitempty"`
}

// Subscriptions is an object of the wire.
type Subscriptions struct {
	Topics  []string `json:"topics"`
	Buckets []string `json:"buckets"`
}

// TimelineItem: A line of a user's timeline.
type TimelineItem struct {
	ID             string `json:"id"`
	At             string `json:"at"`
	What           string `json:"what"`
	NotificationID string `json:"notification_id"`
	Category       string `json:"category,omitempty"`
	Detail         string `json:"detail,omitempty"`
	DeviceID       string `json:"device_id,omitempty"`
	Network        string `json:"network,omitempty"`
	Gateway        string `json:"gateway,omitempty"`
	State          string `json:"state,omitempty"`
	Attempts       *int64 `json:"attempts,omitempty"`
	Reason         string `json:"reason,omitempty"`
	ProviderID     string `json:"provider_id,omitempty"`
	DueAt          string `json:"due_at,omitempty"`
}
