package typo

import "testing"

func TestSlipIsMendedAndAnotherWordIsNot(t *testing.T) {
	names := []string{"user.email", "user.name", "src.ip"}
	for written, want := range map[string]string{
		"user.emial": "user.email", "user.email": "user.email", "src.ipp": "src.ip", "sr.ip": "src.ip", "department": "", "": "",
	} {
		if got := Meant(written, names); got != want {
			t.Errorf("%q: got %q, want %q", written, got, want)
		}
	}
}

func TestNearestCountsTheBytesThatDiffer(t *testing.T) {
	if near, distance := Nearest("kitten", []string{"mitten", "sitting"}); near != "mitten" || distance != 1 {
		t.Errorf("got %q, %d", near, distance)
	}
	if near, distance := Nearest("kitten", []string{"sitting"}); near != "sitting" || distance != 3 {
		t.Errorf("got %q, %d", near, distance)
	}
}
