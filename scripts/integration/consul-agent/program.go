//go:build tools

package program

import _ "github.com/hashicorp/consul"
