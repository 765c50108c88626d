package netskopesim

import (
	"fmt"
	"net/http"
	"time"
)

// FaultNamed finds a fault by the name it has on the control handler, which is
// the name it has here in lower case. The number is the status, the seconds,
// the bytes or the milliseconds that some of them take; the text is the body
// or the reason.
func (t *Tenant) FaultNamed(name string, number int, text string) (Fault, error) {
	switch name {
	case "throttle":
		return Throttle(number), nil
	case "status":
		if number < 200 || number > 599 {
			return nil, fmt.Errorf("make fault status: %d is no status", number)
		}
		return Status(number, text), nil
	case "cutbody":
		return CutBody(number), nil
	case "slowbody":
		return SlowBody(time.Duration(number) * time.Millisecond), nil
	case "notok":
		return NotOK(text), nil
	case "loseindex":
		return t.LoseIndex, nil
	}
	plain := map[string]func(http.HandlerFunc, http.ResponseWriter, *http.Request){
		"losereply": LoseReply, "html": HTML, "empty": Empty, "nocontent204": NoContent204,
		"truncate": Truncate, "brokengzip": BrokenGzip, "wrongcontenttype": WrongContentType,
		"nowaittime": NoWaitTime, "hangbefore": HangBefore, "hangafter": HangAfter,
		"tokenexpired": TokenExpired, "reset": Reset,
	}
	if plain[name] == nil {
		return nil, fmt.Errorf("make fault %q: no such fault", name)
	}
	return plain[name], nil
}
