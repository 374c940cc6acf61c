// Consul as a program of our own module: `go install github.com/hashicorp/consul@v1.21.0` does not work, because its go.mod has replace directives.
// 1.22.0 and 1.22.1 cannot be built from the module proxy: modules that they need are not in the checksum database.
module tokenmesh/integration/consul

go 1.23.8

require github.com/hashicorp/consul v1.21.0

// The version that Consul asks for has no entry in the checksum database; nothing that runs here uses it (it is for logins with AWS).
replace github.com/hashicorp/consul-awsauth => github.com/hashicorp/consul-awsauth v0.0.0-20220713182709-05ac1c5c2706
