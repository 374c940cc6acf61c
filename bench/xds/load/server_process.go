// What the process of the server takes.

package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// cpuMillis is the CPU time of the server, user and system, of all its threads.
func cpuMillis() float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", *pid))
	check(err)
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+2:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return float64(user+system) * 10
}

func residentBytes() int64 { return statusBytes("VmRSS:") }
func peakBytes() int64     { return statusBytes("VmHWM:") }

func statusBytes(field string) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", *pid))
	check(err)
	for _, line := range strings.Split(string(text), "\n") {
		if rest, found := strings.CutPrefix(line, field); found {
			kilobytes, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kilobytes * 1024
		}
	}
	return 0
}
