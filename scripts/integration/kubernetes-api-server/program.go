//go:build tools

package program

import _ "k8s.io/kubernetes/cmd/kube-apiserver"
