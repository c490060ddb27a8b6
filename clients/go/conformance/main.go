// Command conformance is the driver of the conformance cases for this client: see ../../conformance/README.md.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	pns "pns-server/clients/go"
)

// members are those of a call, whatever the call.
type members struct {
	UserID           string                  `json:"user_id"`
	Notifications    []given                 `json:"notifications"`
	Users            []toUser                `json:"users"`
	NotificationID   string                  `json:"notification_id"`
	Member           string                  `json:"member"`
	As               string                  `json:"as"`
	Counts           string                  `json:"counts"`
	Category         string                  `json:"category"`
	Unread           bool                    `json:"unread"`
	Archived         bool                    `json:"archived"`
	Pending          bool                    `json:"pending"`
	NotificationIDs  []string                `json:"notification_ids"`
	CollapseKey      string                  `json:"collapse_key"`
	All              bool                    `json:"all"`
	UpTo             string                  `json:"up_to"`
	DeviceID         string                  `json:"device_id"`
	Title            string                  `json:"title"`
	Description      string                  `json:"description"`
	Defaults         *pns.Channels           `json:"defaults"`
	Required         []string                `json:"required"`
	Preferences      map[string]pns.Channels `json:"preferences"`
	Topic            string                  `json:"topic"`
	Bucket           string                  `json:"bucket"`
	Type             string                  `json:"type"`
	ObjectID         string                  `json:"object_id"`
	NotificationData any                     `json:"notification_data"`
	Sender           string                  `json:"sender"`
	Collapse         *bool                   `json:"collapse"`
	Push             any                     `json:"push"`
	PublicationID    string                  `json:"publication_id"`
	SeenWithinDays   int                     `json:"seen_within_days"`
	Before           string                  `json:"before"`
	Limit            int                     `json:"limit"`
	Secret           string                  `json:"secret"`
	Headers          map[string]string       `json:"headers"`
	Body             string                  `json:"body"`
	Now              int64                   `json:"now"`
}

type toUser struct {
	UserID        string  `json:"user_id"`
	Notifications []given `json:"notifications"`
}

// given is a notification of a case: a string, or an object.
type given pns.Notification

func (g *given) UnmarshalJSON(text []byte) error {
	var data string
	if json.Unmarshal(text, &data) == nil {
		*g = given(pns.Text(data))
		return nil
	}
	return json.Unmarshal(text, (*pns.Notification)(g))
}

func all(some []given) []pns.Notification {
	found := make([]pns.Notification, len(some))
	for i, one := range some {
		found[i] = pns.Notification(one)
	}
	return found
}

func call(c *pns.Client, name string, m members) (any, error) {
	ctx := context.Background()
	publication := pns.Publication{
		Notifications: all(m.Notifications), PublicationID: m.PublicationID, Sender: m.Sender, SeenWithinDays: m.SeenWithinDays,
	}
	switch name {
	case "notify":
		return c.Notify(ctx, m.UserID, all(m.Notifications)...)
	case "notify_users":
		users := make([]pns.ToUser, len(m.Users))
		for i, user := range m.Users {
			users[i] = pns.ToUser{UserID: user.UserID, Notifications: all(user.Notifications)}
		}
		return c.NotifyUsers(ctx, users)
	case "user":
		return c.User(ctx, m.UserID, m.Counts)
	case "notifications":
		filter := pns.Filter{Category: m.Category, Unread: m.Unread, Archived: m.Archived, Pending: m.Pending}
		return c.Notifications(ctx, m.UserID, filter)
	case "mark":
		marked := pns.Marked{
			NotificationIDs: m.NotificationIDs, CollapseKey: m.CollapseKey, Category: m.Category, All: m.All, UpTo: m.UpTo,
		}
		return c.Mark(ctx, m.UserID, m.As, marked)
	case "withdraw":
		if m.Member != "" {
			return nil, c.WithdrawMember(ctx, m.UserID, m.NotificationID, m.Member)
		}
		return nil, c.Withdraw(ctx, m.UserID, m.NotificationID)
	case "erase":
		return nil, c.Erase(ctx, m.UserID)
	case "disconnect":
		return nil, c.Disconnect(ctx, m.UserID, m.DeviceID)
	case "devices":
		return c.Devices(ctx, m.UserID)
	case "remove_device":
		return nil, c.RemoveDevice(ctx, m.UserID, m.DeviceID)
	case "timeline":
		return c.Timeline(ctx, m.UserID, m.Before, m.Limit)
	case "categories":
		return c.Categories(ctx)
	case "declare_category":
		declared := pns.Declared{Title: m.Title, Description: m.Description, Defaults: m.Defaults, Required: m.Required}
		return nil, c.DeclareCategory(ctx, m.Category, declared)
	case "remove_category":
		return nil, c.RemoveCategory(ctx, m.Category)
	case "preferences":
		return c.Preferences(ctx, m.UserID)
	case "set_preferences":
		return c.SetPreferences(ctx, m.UserID, m.Preferences)
	case "make_topic":
		return nil, c.MakeTopic(ctx, m.Topic)
	case "remove_topic":
		return nil, c.RemoveTopic(ctx, m.Topic)
	case "remove_bucket":
		return nil, c.RemoveBucket(ctx, m.Bucket)
	case "subscribe_to_topic":
		return nil, c.SubscribeToTopic(ctx, m.Topic, m.UserID)
	case "unsubscribe_from_topic":
		return nil, c.UnsubscribeFromTopic(ctx, m.Topic, m.UserID)
	case "subscribe_to_bucket":
		return nil, c.SubscribeToBucket(ctx, m.Bucket, m.UserID)
	case "unsubscribe_from_bucket":
		return nil, c.UnsubscribeFromBucket(ctx, m.Bucket, m.UserID)
	case "subscriptions":
		return c.Subscriptions(ctx, m.UserID)
	case "notify_topic":
		return c.NotifyTopic(ctx, m.Topic, publication)
	case "broadcast":
		return c.Broadcast(ctx, publication)
	case "bucket_changed":
		return c.BucketChanged(ctx, m.Bucket, pns.Change{
			Type: m.Type, ObjectID: m.ObjectID, NotificationData: m.NotificationData, Sender: m.Sender, Collapse: m.Collapse,
			Push: m.Push, PublicationID: m.PublicationID,
		})
	case "publication":
		return c.Publication(ctx, m.PublicationID)
	case "publications":
		return c.Publications(ctx, m.Before, m.Limit)
	case "take_back":
		return nil, c.TakeBack(ctx, m.PublicationID)
	case "verify_webhook":
		header := http.Header{}
		for name, value := range m.Headers {
			header.Set(name, value)
		}
		return pns.VerifyWebhook(m.Secret, header, []byte(m.Body), time.Unix(m.Now, 0))
	}
	return nil, fmt.Errorf("no such call: %s", name)
}

func answer(c *pns.Client, line []byte) map[string]any {
	var asked struct {
		Call string  `json:"call"`
		With members `json:"with"`
	}
	if err := json.Unmarshal(line, &asked); err != nil {
		return map[string]any{"fault": err.Error()}
	}
	got, err := call(c, asked.Call, asked.With)
	var problem *pns.Problem
	switch {
	case err == nil:
		return map[string]any{"returns": got}
	case errors.Is(err, pns.ErrBadSignature):
		return map[string]any{"raises": map[string]any{"status": 0, "code": "bad_signature"}}
	case errors.As(err, &problem):
		at := []string{}
		for _, field := range problem.Errors {
			at = append(at, field.At)
		}
		return map[string]any{"raises": map[string]any{"status": problem.Status, "code": problem.Code, "at": at}}
	}
	return map[string]any{"fault": err.Error()}
}

func main() {
	client := pns.New(os.Getenv("PNS_URL"), os.Getenv("PNS_KEY"))
	client.FirstWait = 10 * time.Millisecond
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<26)
	out := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		if err := out.Encode(answer(client, lines.Bytes())); err != nil {
			panic(err)
		}
	}
}
