// Package typo finds the name that somebody meant.
package typo

// Nearest returns the name that differs least from what was written, and in how many bytes it does.
func Nearest(written string, names []string) (near string, distance int) {
	distance = len(written) + 1
	for _, name := range names {
		if d := editDistance(written, name); d < distance {
			near, distance = name, d
		}
	}
	return near, distance
}

// Meant returns the name that was meant if it is near enough for a slip; "" if none is.
func Meant(written string, names []string) string {
	near, distance := Nearest(written, names)
	if distance > max(2, len(written)/3) {
		return ""
	}
	return near
}

// editDistance counts the bytes to insert, delete or replace to make a into b.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
