package main

import (
	"errors"
	"hash/maphash"
	"io"
	"math/bits"
	"slices"
	"sync"
	"unsafe"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	filter "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"
	extproc "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"github.com/tidwall/gjson"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	// blockBytes of prompt have one hash, as in the filter.
	blockBytes = 256
	// maxPrefixes bounds each of the two generations of the map: together about what the filter keeps for four endpoints.
	maxPrefixes = 16 << 10
	// slack is how many more requests in flight the endpoint with the longest prefix may have than the idlest.
	slack = 16
	// maxChunk is the longest piece of a body that is sent back, below the 64 KiB that Envoy sends itself.
	maxChunk = 62 << 10
)

// endpointPicker is an external processor that does the job of hash-ring: it reads the prompt, hashes it block by block, each with what stands before it, and
// names the endpoint that has seen the longest beginning of it, unless that is much busier than the idlest one. Answers are told apart by nothing but the end of
// their stream. It is written to be fast: no JSON tree, one lock for each pick, buffers that live on.
type endpointPicker struct {
	extproc.UnimplementedExternalProcessorServer
	endpoints []string
	seed      maphash.Seed
	buffers   sync.Pool

	mutex    sync.Mutex
	inflight []int
	turn     int
	// Which endpoints have seen a prefix, one bit for each. When `young` is full it becomes `old`: what nobody asks for is then forgotten.
	young, old map[uint64]uint64
}

// scratch is what one pick needs.
type scratch struct {
	body, prompt []byte
	chain        []uint64
}

func newEndpointPicker(endpoints []string) *endpointPicker {
	return &endpointPicker{
		endpoints: endpoints,
		seed:      maphash.MakeSeed(),
		buffers:   sync.Pool{New: func() any { return new(scratch) }},
		inflight:  make([]int, len(endpoints)),
		young:     map[uint64]uint64{},
		old:       map[uint64]uint64{},
	}
}

func (p *endpointPicker) Process(stream extproc.ExternalProcessor_ProcessServer) error {
	slot, duplex := -1, false
	buffer := p.buffers.Get().(*scratch)
	buffer.body = buffer.body[:0]
	defer func() {
		p.buffers.Put(buffer)
		p.done(slot)
	}()
	for {
		request, err := stream.Recv()
		if errors.Is(err, io.EOF) || status.Code(err) == codes.Canceled {
			return nil
		}
		if err != nil {
			return err
		}
		if config := request.ProtocolConfig; config != nil {
			duplex = config.RequestBodyMode == filter.ProcessingMode_FULL_DUPLEX_STREAMED
		}
		var responses []*extproc.ProcessingResponse
		switch message := request.Request.(type) {
		case *extproc.ProcessingRequest_RequestHeaders:
			// In duplex mode the headers wait in Envoy until they are answered, which they are with the whole body.
			if !duplex {
				responses = append(responses, requestHeaders(nil))
			}
		case *extproc.ProcessingRequest_RequestBody:
			body := message.RequestBody.Body
			if duplex {
				buffer.body = append(buffer.body, body...)
				body = buffer.body
			}
			if !message.RequestBody.EndOfStream {
				break
			}
			slot = p.pick(body, buffer)
			if duplex {
				responses = append(responses, requestHeaders(p.destination(slot)))
				responses = append(responses, requestPieces(body)...)
			} else {
				responses = append(responses, &extproc.ProcessingResponse{Response: &extproc.ProcessingResponse_RequestBody{
					RequestBody: &extproc.BodyResponse{Response: p.destination(slot)},
				}})
			}
		case *extproc.ProcessingRequest_ResponseHeaders:
			responses = append(responses, &extproc.ProcessingResponse{Response: &extproc.ProcessingResponse_ResponseHeaders{ResponseHeaders: &extproc.HeadersResponse{}}})
		case *extproc.ProcessingRequest_ResponseBody:
			responses = append(responses, &extproc.ProcessingResponse{Response: &extproc.ProcessingResponse_ResponseBody{
				ResponseBody: piece(message.ResponseBody.Body, message.ResponseBody.EndOfStream),
			}})
		case *extproc.ProcessingRequest_RequestTrailers:
			responses = append(responses, &extproc.ProcessingResponse{Response: &extproc.ProcessingResponse_RequestTrailers{RequestTrailers: &extproc.TrailersResponse{}}})
		case *extproc.ProcessingRequest_ResponseTrailers:
			responses = append(responses, &extproc.ProcessingResponse{Response: &extproc.ProcessingResponse_ResponseTrailers{ResponseTrailers: &extproc.TrailersResponse{}}})
		default:
			return status.Errorf(codes.InvalidArgument, "unexpected message %T", message)
		}
		for _, response := range responses {
			if err := stream.Send(response); err != nil {
				return err
			}
		}
	}
}

func requestHeaders(common *extproc.CommonResponse) *extproc.ProcessingResponse {
	return &extproc.ProcessingResponse{Response: &extproc.ProcessingResponse_RequestHeaders{RequestHeaders: &extproc.HeadersResponse{Response: common}}}
}

func requestPieces(body []byte) []*extproc.ProcessingResponse {
	var responses []*extproc.ProcessingResponse
	for {
		size := min(len(body), maxChunk)
		responses = append(responses, &extproc.ProcessingResponse{Response: &extproc.ProcessingResponse_RequestBody{
			RequestBody: piece(body[:size], size == len(body)),
		}})
		if body = body[size:]; len(body) == 0 {
			return responses
		}
	}
}

func piece(body []byte, last bool) *extproc.BodyResponse {
	return &extproc.BodyResponse{Response: &extproc.CommonResponse{BodyMutation: &extproc.BodyMutation{
		Mutation: &extproc.BodyMutation_StreamedResponse{StreamedResponse: &extproc.StreamedBodyResponse{Body: body, EndOfStream: last}},
	}}}
}

func (p *endpointPicker) destination(slot int) *extproc.CommonResponse {
	return &extproc.CommonResponse{HeaderMutation: &extproc.HeaderMutation{SetHeaders: []*core.HeaderValueOption{{
		Header:       &core.HeaderValue{Key: "x-gateway-destination-endpoint", RawValue: []byte(p.endpoints[slot])},
		AppendAction: core.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
	}}}}
}

// pick is the endpoint for a request; it counts as in flight there until done.
func (p *endpointPicker) pick(body []byte, buffer *scratch) int {
	buffer.prompt = appendPrompt(buffer.prompt[:0], body)
	buffer.chain = p.appendChain(buffer.chain[:0], buffer.prompt)
	p.mutex.Lock()
	defer p.mutex.Unlock()
	slot := p.best(buffer.chain)
	p.inflight[slot]++
	p.learn(slot, buffer.chain)
	return slot
}

func (p *endpointPicker) done(slot int) {
	if slot < 0 {
		return
	}
	p.mutex.Lock()
	p.inflight[slot]--
	p.mutex.Unlock()
}

// best has seen at least half of the chain, and more of it than the others, unless it is too busy; else it is the idlest.
func (p *endpointPicker) best(chain []uint64) int {
	p.turn++
	idlest := p.turn % len(p.inflight)
	for offset := range p.inflight {
		// Of several that are as idle, each in turn.
		if slot := (p.turn + offset) % len(p.inflight); p.inflight[slot] < p.inflight[idlest] {
			idlest = slot
		}
	}
	seen, blocks := uint64(0), 0
	for mask := ^uint64(0); blocks < len(chain); blocks++ {
		if mask &= p.seenBy(chain[blocks]); mask == 0 {
			break
		}
		seen = mask
	}
	if blocks == 0 || 2*blocks < len(chain) {
		return idlest
	}
	best := bits.TrailingZeros64(seen)
	for rest := seen; rest != 0; rest &= rest - 1 {
		if slot := bits.TrailingZeros64(rest); p.inflight[slot] < p.inflight[best] {
			best = slot
		}
	}
	if p.inflight[best] > p.inflight[idlest]+slack {
		return idlest
	}
	return best
}

func (p *endpointPicker) seenBy(prefix uint64) uint64 {
	if mask, found := p.young[prefix]; found {
		return mask
	}
	return p.old[prefix]
}

func (p *endpointPicker) learn(slot int, chain []uint64) {
	for _, prefix := range chain {
		mask, found := p.young[prefix]
		if found && mask&(1<<slot) != 0 {
			continue
		}
		if !found {
			mask = p.old[prefix]
		}
		p.young[prefix] = mask | 1<<slot
	}
	if len(p.young) > maxPrefixes {
		p.young, p.old = p.old, p.young
		clear(p.young)
	}
}

// appendChain appends the hash of each complete block of the prompt; each depends on all blocks before it.
func (p *endpointPicker) appendChain(chain []uint64, prompt []byte) []uint64 {
	hash := uint64(0)
	for ; len(prompt) >= blockBytes; prompt = prompt[blockBytes:] {
		mixed := (hash ^ maphash.Bytes(p.seed, prompt[:blockBytes])) * 0x9e3779b97f4a7c15
		hash = bits.RotateLeft64(mixed, 31)
		chain = append(chain, hash)
	}
	return chain
}

// appendPrompt appends the model, and roles and texts of a chat request, escapes resolved. The body is read in place.
func appendPrompt(prompt, body []byte) []byte {
	root := gjson.Parse(unsafe.String(unsafe.SliceData(body), len(body)))
	root.ForEach(func(name, value gjson.Result) bool {
		switch name.Str {
		case "model":
			prompt = slices.Insert(prompt, 0, append([]byte(value.Str), 0)...)
		case "messages":
			value.ForEach(func(_, message gjson.Result) bool {
				message.ForEach(func(name, value gjson.Result) bool {
					if name.Str == "role" || name.Str == "content" {
						prompt = append(append(prompt, value.String()...), 0)
					}
					return true
				})
				return true
			})
		}
		return true
	})
	return prompt
}
