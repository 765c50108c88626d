package netskopesim

import (
	"net/http"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// limits holds a bucket of requests for each endpoint of the tenant, and one
// for all of them.
type limits struct {
	mu        sync.Mutex
	perSecond int // below 1 means unlimited
	global    *rate.Limiter
	buckets   map[string]*rate.Limiter
}

func newLimits(c Config) limits {
	var global *rate.Limiter
	if c.GlobalRateLimit > 0 {
		global = rate.NewLimiter(rate.Limit(c.GlobalRateLimit), c.GlobalRateLimit)
	}
	return limits{perSecond: c.RateLimit, global: global, buckets: map[string]*rate.Limiter{}}
}

// admit takes one request from the route's bucket and says in the headers how
// many are left. An unlimited tenant always shows a full bucket, because
// clients sleep when they read zero.
func (l *limits) admit(h http.Header, route string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	limit, remaining, ok := 4, 4, true
	if l.perSecond > 0 {
		bucket := l.buckets[route]
		if bucket == nil {
			bucket = rate.NewLimiter(rate.Limit(l.perSecond), l.perSecond)
			l.buckets[route] = bucket
		}
		ok = bucket.AllowN(now, 1)
		limit, remaining = l.perSecond, max(int(bucket.TokensAt(now)), 0)
	}
	if ok && l.global != nil && !l.global.AllowN(now, 1) {
		ok, remaining = false, 0
	}
	h.Set("RateLimit-Limit", strconv.Itoa(limit))
	h.Set("RateLimit-Remaining", strconv.Itoa(remaining))
	h.Set("RateLimit-Reset", "1")
	return ok
}
