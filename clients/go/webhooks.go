package pns

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const tolerance = 5 * time.Minute

// ErrBadSignature is the error of a webhook that PNS did not sign with this secret, or not now.
var ErrBadSignature = errors.New("pns: the webhook's signature does not fit")

// Event is a webhook of PNS. Data is for the type: docs/webhooks.md of PNS.
type Event struct {
	Type      string          `json:"type"`
	Timestamp string          `json:"timestamp"`
	Data      json.RawMessage `json:"data"`
}

// VerifyWebhook returns the event of a request's header and body, by Standard Webhooks. secret is "whsec_…", as
// pns webhook secret prints it. An event comes again under its webhook-id until it is taken.
func VerifyWebhook(secret string, header http.Header, body []byte, now time.Time) (Event, error) {
	var event Event
	id, at := header.Get("webhook-id"), header.Get("webhook-timestamp")
	seconds, err := strconv.ParseInt(at, 10, 64)
	if id == "" || err != nil {
		return event, ErrBadSignature
	}
	if apart := now.Sub(time.Unix(seconds, 0)); apart > tolerance || apart < -tolerance {
		return event, ErrBadSignature
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil {
		return event, err
	}
	code := hmac.New(sha256.New, key)
	code.Write([]byte(id + "." + at + "."))
	code.Write(body)
	expected := code.Sum(nil)
	for _, one := range strings.Fields(header.Get("webhook-signature")) {
		found, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(one, "v1,"))
		if err == nil && strings.HasPrefix(one, "v1,") && hmac.Equal(found, expected) {
			return event, json.Unmarshal(body, &event)
		}
	}
	return event, ErrBadSignature
}
