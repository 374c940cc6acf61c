// A Proxy-Wasm filter written with the Go SDK that does the job of llm-router: it holds the request until the body is
// complete, reads "model", writes the route header so that Envoy picks the route again, and counts the usage of the answer.
// Built as a WASI reactor: GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared.
package main

import (
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm/types"
	"github.com/tidwall/gjson"

	"tokenmesh.io/bench/envoy/usage"
)

func main() {}

func init() {
	proxywasm.SetVMContext(&vmContext{})
}

type vmContext struct {
	types.DefaultVMContext
}

func (*vmContext) NewPluginContext(uint32) types.PluginContext {
	return &pluginContext{routes: map[string]string{}}
}

type pluginContext struct {
	types.DefaultPluginContext
	routes     map[string]string
	prompt     proxywasm.MetricCounter
	completion proxywasm.MetricCounter
}

// OnPluginStart reads {"models":[{"model":..., "route":...}]}, the shape llm-router takes too.
func (p *pluginContext) OnPluginStart(int) types.OnPluginStartStatus {
	configuration, err := proxywasm.GetPluginConfiguration()
	if err != nil {
		proxywasm.LogCriticalf("configuration: %v", err)
		return types.OnPluginStartStatusFailed
	}
	for _, entry := range gjson.GetBytes(configuration, "models").Array() {
		p.routes[entry.Get("model").String()] = entry.Get("route").String()
	}
	p.prompt = proxywasm.DefineCounterMetric("bench_prompt_tokens")
	p.completion = proxywasm.DefineCounterMetric("bench_completion_tokens")
	return types.OnPluginStartStatusOK
}

func (p *pluginContext) NewHttpContext(uint32) types.HttpContext {
	return &httpContext{plugin: p}
}

type httpContext struct {
	types.DefaultHttpContext
	plugin *pluginContext
	answer usage.Reader
}

func (h *httpContext) OnHttpRequestHeaders(_ int, endOfStream bool) types.Action {
	if endOfStream {
		return types.ActionContinue
	}
	return types.ActionPause
}

// OnHttpRequestBody gets the size of everything buffered so far while it pauses.
func (h *httpContext) OnHttpRequestBody(size int, endOfStream bool) types.Action {
	if !endOfStream {
		return types.ActionPause
	}
	body, err := proxywasm.GetHttpRequestBody(0, size)
	if err != nil {
		proxywasm.LogErrorf("request body: %v", err)
		return types.ActionContinue
	}
	model := gjson.GetBytes(body, "model").String()
	route, found := h.plugin.routes[model]
	if !found {
		h.fail(404, "model_not_found")
		return types.ActionPause
	}
	if err := proxywasm.ReplaceHttpRequestHeader("x-llm-route", route); err != nil {
		h.fail(500, "route_not_set")
		return types.ActionPause
	}
	return types.ActionContinue
}

func (h *httpContext) fail(status uint32, code string) {
	body := []byte(`{"error":{"message":"` + code + `","type":"invalid_request_error","param":"model","code":"` + code + `"}}`)
	if err := proxywasm.SendHttpResponse(status, [][2]string{{"content-type", "application/json"}}, body, -1); err != nil {
		proxywasm.LogErrorf("local response: %v", err)
	}
}

func (h *httpContext) OnHttpResponseBody(size int, endOfStream bool) types.Action {
	if size > 0 {
		if piece, err := proxywasm.GetHttpResponseBody(0, size); err == nil {
			h.answer.Write(piece)
		}
	}
	if endOfStream {
		tokens := h.answer.Finish()
		// Envoy refuses to add zero to a counter.
		if tokens.Prompt > 0 {
			h.plugin.prompt.Increment(uint64(tokens.Prompt))
		}
		if tokens.Completion > 0 {
			h.plugin.completion.Increment(uint64(tokens.Completion))
		}
	}
	return types.ActionContinue
}
