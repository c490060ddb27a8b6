// Package pns is the application's side of PNS, the notification inbox and live-push server: notify, marks,
// preferences, topics, buckets and publications. It needs the standard library alone.
package pns

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	mathrand "math/rand"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	tries       = 5
	longestWait = 30 * time.Second
	inABody     = 1000
)

// Client is PNS as the application sees it. Make one with New for a process; it holds connections.
type Client struct {
	url, key string
	// HTTP does the requests. Its Timeout is the time of one try.
	HTTP *http.Client
	// FirstWait is the time before the first repeat; each later wait is twice the one before.
	FirstWait time.Duration
}

// New is a client of the PNS at url, with an API key.
func New(url, key string) *Client {
	noRedirect := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	client := &http.Client{Timeout: 10 * time.Second, CheckRedirect: noRedirect}
	return &Client{url: strings.TrimRight(url, "/"), key: key, HTTP: client, FirstWait: 200 * time.Millisecond}
}

// Problem is an answer of PNS that is no success (RFC 9457). Nothing was stored, except perhaps with CodeUnreachable and
// CodeInternalError. Code is stable:
//
//	var problem *pns.Problem
//	if errors.As(err, &problem) && problem.Code == pns.CodeInvalid { … }
//
// With CodeUnreachable no answer came after all tries, or a proxy's: what was asked may have been done, so ask
// again with the same ids.
type Problem struct {
	Status int          `json:"status"`
	Code   string       `json:"code"`
	Title  string       `json:"title"`
	Detail string       `json:"detail"`
	Errors []FieldError `json:"errors"`
	Cause  error        `json:"-"`
}

// FieldError says what is wrong with one field. At is a JSON pointer, such as /notifications/0/notification_id, or the
// name of a parameter.
type FieldError struct {
	At      string `json:"at"`
	Message string `json:"message"`
}

// The codes of Problem that an application may meet.
const (
	CodeUnreachable            = "unreachable"
	CodeBadJSON                = "bad_json"
	CodeUnauthorized           = "unauthorized"
	CodeNotFound               = "not_found"
	CodeNotificationIDConflict = "notification_id_conflict"
	CodePublicationIDConflict  = "publication_id_conflict"
	CodeCategoryRequired       = "category_required"
	CodeTooLarge               = "too_large"
	CodeInvalid                = "invalid"
	CodeUnknownNotification    = "unknown_notification"
	CodeUnknownCategory        = "unknown_category"
	CodeRateLimited            = "rate_limited"
	CodeStoreUnavailable       = "store_unavailable"
	CodeOverloaded             = "overloaded"
	CodeDraining               = "draining"
	CodeInternalError          = "internal_error"
)

func (p *Problem) Error() string {
	return fmt.Sprintf("pns: %s: %s", p.Code, p.Detail)
}

// Unwrap is what the line said, of a problem with CodeUnreachable.
func (p *Problem) Unwrap() error { return p.Cause }

// Text is a notification with this data.
func Text(data string) Notification { return Notification{NotificationData: data} }

// Data is a notification whose data is an object, or what else is written as JSON.
func Data(data any) Notification { return Notification{NotificationData: data} }

// ToUser is what NotifyUsers has for one user.
type ToUser struct {
	UserID        string         `json:"user_id"`
	Notifications []Notification `json:"notifications"`
}

// Notify stores notifications for a user, all or none, and returns their ids. Returned means durable.
func (c *Client) Notify(ctx context.Context, userID string, notifications ...Notification) ([]string, error) {
	var got struct {
		NotificationIDs []string `json:"notification_ids"`
	}
	err := c.ask(ctx, "POST", "/notify", nil, ToUser{userID, withIDs(notifications)}, &got)
	return got.NotificationIDs, err
}

// NotifyUsers does the same for many users, in bodies of 1,000 notifications, and returns all ids in order. Each body
// is stored whole or not at all; an error leaves the bodies before it stored.
func (c *Client) NotifyUsers(ctx context.Context, users []ToUser) ([]string, error) {
	var ids []string
	for _, body := range bodies(users) {
		var got struct {
			NotificationIDs []string `json:"notification_ids"`
		}
		if err := c.ask(ctx, "POST", "/notify", nil, body, &got); err != nil {
			return ids, err
		}
		ids = append(ids, got.NotificationIDs...)
	}
	return ids, nil
}

// Withdraw removes a notification, whether seen or not. An unknown one is no error.
func (c *Client) Withdraw(ctx context.Context, userID, notificationID string) error {
	return c.ask(ctx, "DELETE", path("users", userID, "notifications", notificationID), nil, nil, nil)
}

// WithdrawMember removes one member of a group.
func (c *Client) WithdrawMember(ctx context.Context, userID, notificationID, member string) error {
	query := url.Values{"member": {member}}
	return c.ask(ctx, "DELETE", path("users", userID, "notifications", notificationID), query, nil, nil)
}

// Marked names the notifications of Mark, in one of four ways; all but NotificationIDs no further than UpTo, if given.
type Marked struct {
	NotificationIDs []string `json:"notification_ids,omitempty"`
	CollapseKey     string   `json:"collapse_key,omitempty"`
	Category        string   `json:"category,omitempty"`
	All             bool     `json:"all,omitempty"`
	UpTo            string   `json:"up_to,omitempty"`
}

// Mark marks notifications as "seen", "read", "unread", "archived" or "unarchived"; the numbers after.
func (c *Client) Mark(ctx context.Context, userID, as string, marked Marked) (Marks, error) {
	body := struct {
		As string `json:"as"`
		Marked
	}{as, marked}
	var got Marks
	err := c.ask(ctx, "POST", path("users", userID, "marks"), nil, body, &got)
	return got, err
}

// Filter chooses among a user's notifications.
type Filter struct {
	Category                  string
	Unread, Archived, Pending bool
}

// Notifications returns all notifications of a user, oldest first; pending ones by their deliver_date.
func (c *Client) Notifications(ctx context.Context, userID string, filter Filter) ([]InboxItem, error) {
	query := url.Values{"after": {""}}
	set(query, "category", filter.Category)
	for name, on := range map[string]bool{"unread": filter.Unread, "archived": filter.Archived, "pending": filter.Pending} {
		if on {
			query.Set(name, "true")
		}
	}
	found := []InboxItem{}
	for {
		var got struct {
			Notifications []InboxItem `json:"notifications"`
		}
		if err := c.ask(ctx, "GET", path("users", userID, "notifications"), query, nil, &got); err != nil {
			return found, err
		}
		if len(got.Notifications) == 0 {
			return found, nil
		}
		found = append(found, got.Notifications...)
		query.Set("after", found[len(found)-1].NotificationID)
	}
}

// User returns a user's numbers and connected devices; with "category" as counts also those of categories with something
// unread, at most 64, else with "".
func (c *Client) User(ctx context.Context, userID, counts string) (UserInfo, error) {
	query := url.Values{}
	set(query, "counts", counts)
	var got UserInfo
	err := c.ask(ctx, "GET", path("users", userID), query, nil, &got)
	return got, err
}

// Erase removes all that PNS has of a user, and ends the connections.
func (c *Client) Erase(ctx context.Context, userID string) error {
	return c.ask(ctx, "DELETE", path("users", userID), nil, nil, nil)
}

// Disconnect ends the connections of a user, or of one device if deviceID is not empty.
func (c *Client) Disconnect(ctx context.Context, userID, deviceID string) error {
	query := url.Values{}
	set(query, "device_id", deviceID)
	return c.ask(ctx, "DELETE", path("users", userID, "connections"), query, nil, nil)
}

// Devices returns the user's devices at push networks.
func (c *Client) Devices(ctx context.Context, userID string) ([]InstalledDevice, error) {
	var got struct {
		Devices []InstalledDevice `json:"devices"`
	}
	err := c.ask(ctx, "GET", path("users", userID, "devices"), nil, nil, &got)
	return got.Devices, err
}

// RemoveDevice pushes to this device no more. A device that is not the user's is CodeNotFound.
func (c *Client) RemoveDevice(ctx context.Context, userID, deviceID string) error {
	return c.ask(ctx, "DELETE", path("users", userID, "devices", deviceID), nil, nil, nil)
}

// Timeline returns a page of what happened to the user's notifications, newest first; before is the ID of the last line of
// the page before, limit 0 the server's own. An empty page is the end.
func (c *Client) Timeline(ctx context.Context, userID, before string, limit int) ([]TimelineItem, error) {
	query := url.Values{"before": {before}}
	if limit > 0 {
		query.Set("limit", strconv.Itoa(limit))
	}
	var got struct {
		Timeline []TimelineItem `json:"timeline"`
	}
	err := c.ask(ctx, "GET", path("users", userID, "timeline"), query, nil, &got)
	return got.Timeline, err
}

// Categories returns all categories that were declared.
func (c *Client) Categories(ctx context.Context) ([]CategoryInfo, error) {
	var got struct {
		Categories []CategoryInfo `json:"categories"`
	}
	err := c.ask(ctx, "GET", "/categories", nil, nil, &got)
	return got.Categories, err
}

// Declared is how a category is shown among the users' preferences.
type Declared struct {
	Title       string    `json:"title"`
	Description string    `json:"description,omitempty"`
	Defaults    *Channels `json:"defaults,omitempty"`
	Required    []string  `json:"required,omitempty"`
}

// DeclareCategory shows a category among the users' preferences, or declares it anew: what is not given is empty then.
func (c *Client) DeclareCategory(ctx context.Context, category string, declared Declared) error {
	return c.ask(ctx, "PUT", path("categories", category), nil, declared, nil)
}

// RemoveCategory shows a category no more, and forgets what users chose. Notifications of it stay.
func (c *Client) RemoveCategory(ctx context.Context, category string) error {
	return c.ask(ctx, "DELETE", path("categories", category), nil, nil, nil)
}

type preferences struct {
	Preferences []PreferenceInfo `json:"preferences"`
}

// Preferences returns what a user chose, for each declared category.
func (c *Client) Preferences(ctx context.Context, userID string) ([]PreferenceInfo, error) {
	var got preferences
	err := c.ask(ctx, "GET", path("users", userID, "preferences"), nil, nil, &got)
	return got.Preferences, err
}

// SetPreferences chooses for a user; categories and channels that are not named stay.
func (c *Client) SetPreferences(ctx context.Context, userID string, chosen map[string]Channels) ([]PreferenceInfo, error) {
	var got preferences
	body := map[string]any{"preferences": chosen}
	err := c.ask(ctx, "PATCH", path("users", userID, "preferences"), nil, body, &got)
	return got.Preferences, err
}

// MakeTopic makes a topic, if it is not there.
func (c *Client) MakeTopic(ctx context.Context, topic string) error {
	return c.ask(ctx, "PUT", path("topics", topic), nil, nil, nil)
}

// RemoveTopic removes a topic with its subscribers.
func (c *Client) RemoveTopic(ctx context.Context, topic string) error {
	return c.ask(ctx, "DELETE", path("topics", topic), nil, nil, nil)
}

// RemoveBucket removes a bucket with its subscribers.
func (c *Client) RemoveBucket(ctx context.Context, bucket string) error {
	return c.ask(ctx, "DELETE", path("buckets", bucket), nil, nil, nil)
}

// SubscribeToTopic subscribes a user to a topic. No such topic is CodeNotFound.
func (c *Client) SubscribeToTopic(ctx context.Context, topic, userID string) error {
	return c.ask(ctx, "PUT", path("topics", topic, "subscribers", userID), nil, nil, nil)
}

// UnsubscribeFromTopic ends a user's subscription to a topic.
func (c *Client) UnsubscribeFromTopic(ctx context.Context, topic, userID string) error {
	return c.ask(ctx, "DELETE", path("topics", topic, "subscribers", userID), nil, nil, nil)
}

// SubscribeToBucket subscribes a user to a bucket, which is made by its first subscriber.
func (c *Client) SubscribeToBucket(ctx context.Context, bucket, userID string) error {
	return c.ask(ctx, "PUT", path("buckets", bucket, "subscribers", userID), nil, nil, nil)
}

// UnsubscribeFromBucket ends a user's subscription to a bucket.
func (c *Client) UnsubscribeFromBucket(ctx context.Context, bucket, userID string) error {
	return c.ask(ctx, "DELETE", path("buckets", bucket, "subscribers", userID), nil, nil, nil)
}

// Subscriptions returns the topics and buckets of a user.
func (c *Client) Subscriptions(ctx context.Context, userID string) (Subscriptions, error) {
	var got Subscriptions
	err := c.ask(ctx, "GET", path("users", userID, "subscriptions"), nil, nil, &got)
	return got, err
}

// Publication is what NotifyTopic and Broadcast spread. Sender is a name for the pushes, one of their control
// fields, and leaves out nobody. SeenWithinDays is for Broadcast alone, and leaves out who was connected last before that.
type Publication struct {
	Notifications  []Notification `json:"notifications"`
	PublicationID  string         `json:"publication_id,omitempty"`
	Sender         string         `json:"sender,omitempty"`
	SeenWithinDays int            `json:"seen_within_days,omitempty"`
}

// NotifyTopic notifies every subscriber of a topic. Returned means durable; the spreading follows. No such topic is
// CodeNotFound.
func (c *Client) NotifyTopic(ctx context.Context, topic string, publication Publication) (Published, error) {
	return c.publish(ctx, path("topics", topic, "notify"), publication)
}

// Broadcast notifies every known user.
func (c *Client) Broadcast(ctx context.Context, publication Publication) (Published, error) {
	return c.publish(ctx, "/broadcast", publication)
}

func (c *Client) publish(ctx context.Context, path string, publication Publication) (Published, error) {
	publication.Notifications = withIDs(publication.Notifications)
	if publication.PublicationID == "" {
		publication.PublicationID = newID()
	}
	var got Published
	err := c.ask(ctx, "POST", path, nil, publication, &got)
	return got, err
}

// Change is a change of a bucket, or of an object in it. Type is such as "DATA_OBJECT_CREATED".
type Change struct {
	Type             string `json:"type"`
	ObjectID         string `json:"object_id,omitempty"`
	NotificationData any    `json:"notification_data,omitempty"`
	Sender           string `json:"sender,omitempty"`
	Collapse         *bool  `json:"collapse,omitempty"`
	Push             any    `json:"push,omitempty"`
	PublicationID    string `json:"publication_id,omitempty"`
}

// BucketChanged tells every subscriber of a bucket of a change.
func (c *Client) BucketChanged(ctx context.Context, bucket string, change Change) (Published, error) {
	if change.PublicationID == "" {
		change.PublicationID = newID()
	}
	var got Published
	err := c.ask(ctx, "POST", path("buckets", bucket, "changed"), nil, change, &got)
	return got, err
}

// Publication returns how far a publication has come.
func (c *Client) Publication(ctx context.Context, publicationID string) (PublicationInfo, error) {
	var got PublicationInfo
	err := c.ask(ctx, "GET", path("publications", publicationID), nil, nil, &got)
	return got, err
}

// Publications returns a page, newest first; before is the last id of the page before, limit 0 the server's own.
func (c *Client) Publications(ctx context.Context, before string, limit int) ([]PublicationInfo, error) {
	query := url.Values{}
	set(query, "before", before)
	if limit > 0 {
		query.Set("limit", strconv.Itoa(limit))
	}
	var got struct {
		Publications []PublicationInfo `json:"publications"`
	}
	err := c.ask(ctx, "GET", "/publications", query, nil, &got)
	return got.Publications, err
}

// TakeBack takes a publication out of every inbox where it is unseen, and spreads it no further. Returned means durable;
// the rest follows. An unknown one is CodeNotFound.
func (c *Client) TakeBack(ctx context.Context, publicationID string) error {
	return c.ask(ctx, "DELETE", path("publications", publicationID), nil, nil, nil)
}

// ask does a call in as many tries as it takes, each with the same body, and reads the answer into result.
func (c *Client) ask(ctx context.Context, method, path string, query url.Values, body, result any) error {
	var content []byte
	if body != nil {
		var err error
		if content, err = json.Marshal(body); err != nil {
			return err
		}
	}
	address := c.url + path
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	for try := 1; ; try++ {
		answer, retryAfter, problem := c.try(ctx, method, address, content)
		if problem == nil && result != nil {
			if err := json.Unmarshal(answer, result); err != nil {
				problem = &Problem{Code: CodeUnreachable, Detail: "a success that is not PNS's: " + err.Error(), Cause: err}
			}
		}
		if problem == nil {
			return nil
		}
		wait, again := waitAfter(try, c.FirstWait, problem.Status, retryAfter)
		if !again {
			return problem
		}
		select {
		case <-ctx.Done():
			return unreachable(ctx.Err())
		case <-time.After(wait):
		}
	}
}

// try is one try: the body of a good answer, or the problem and the seconds of Retry-After, -1 without.
func (c *Client) try(ctx context.Context, method, address string, content []byte) ([]byte, time.Duration, *Problem) {
	request, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(content))
	if err != nil {
		return nil, -1, unreachable(err)
	}
	request.Header.Set("Authorization", "Bearer "+c.key)
	if content != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := c.HTTP.Do(request)
	if err != nil {
		return nil, -1, unreachable(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, -1, unreachable(err)
	}
	if response.StatusCode/100 == 2 {
		return answer, -1, nil
	}
	return nil, retryAfter(response.Header), problemOf(response.StatusCode, answer)
}

func unreachable(err error) *Problem {
	return &Problem{Code: CodeUnreachable, Title: "Unreachable", Detail: "PNS gave no answer: " + err.Error(), Cause: err}
}

func problemOf(status int, body []byte) *Problem {
	var problem Problem
	if json.Unmarshal(body, &problem) != nil || problem.Code == "" {
		return &Problem{Status: status, Code: CodeUnreachable, Title: "Unreachable", Detail: fmt.Sprintf("A proxy answered %d.", status)}
	}
	problem.Status = status
	return &problem
}

func retryAfter(header http.Header) time.Duration {
	seconds, err := strconv.Atoi(header.Get("Retry-After"))
	if err != nil || seconds < 0 {
		return -1
	}
	return time.Duration(seconds) * time.Second
}

// waitAfter is the time before the next try, and whether there is one.
func waitAfter(try int, first time.Duration, status int, retryAfter time.Duration) (time.Duration, bool) {
	repeated := status == 0 || status == 429 || status == 502 || status == 503 || status == 504
	if try >= tries || !repeated || retryAfter > longestWait {
		return 0, false
	}
	if retryAfter >= 0 {
		return retryAfter, true
	}
	return time.Duration(float64(first) * float64(int(1)<<(try-1)) * (1 + mathrand.Float64()/2)), true
}

func withIDs(notifications []Notification) []Notification {
	given := make([]Notification, len(notifications))
	for i, one := range notifications {
		if one.NotificationID == "" {
			one.NotificationID = newID()
		}
		given[i] = one
	}
	return given
}

// bodies cuts a notify to many users: in order, no body with more than 1,000 notifications.
func bodies(users []ToUser) [][]ToUser {
	var all [][]ToUser
	var body []ToUser
	left := inABody
	for _, user := range users {
		waiting := withIDs(user.Notifications)
		for len(waiting) > 0 {
			part := waiting
			if len(part) > left {
				part = part[:left]
			}
			waiting = waiting[len(part):]
			body = append(body, ToUser{user.UserID, part})
			if left -= len(part); left == 0 {
				all, body, left = append(all, body), nil, inABody
			}
		}
	}
	if len(body) > 0 {
		all = append(all, body)
	}
	return all
}

func newID() string {
	id := make([]byte, 16)
	if _, err := rand.Read(id); err != nil {
		panic(err)
	}
	return hex.EncodeToString(id)
}

func path(segments ...string) string {
	var whole strings.Builder
	for _, segment := range segments {
		whole.WriteString("/" + url.PathEscape(segment))
	}
	return whole.String()
}

func set(query url.Values, name, value string) {
	if value != "" {
		query.Set(name, value)
	}
}
