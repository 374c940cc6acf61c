// An external processor that does the job of llm-router: it gets the whole request body (BUFFERED), reads "model", sends the
// route header back and has Envoy pick the route again; the answer comes piece by piece (STREAMED) and its token usage goes
// back as dynamic metadata. Response headers are not sent to it: the cheapest setting that can do the job.
//
//	ext_proc -models '{"gpt-4o":"gpt"}'    prints {"address":"127.0.0.1:PORT"} when it listens
//	ext_proc -endpoints 10.0.0.1:80,...    does the job of hash-ring instead: picker.go
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"runtime/debug"
	"strings"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extproc "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"github.com/tidwall/gjson"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"

	"tokenmesh.io/bench/envoy/usage"
)

// maxMessage lets a whole buffered body through; the default of gRPC is 4 MiB.
const maxMessage = 64 << 20

type processor struct {
	extproc.UnimplementedExternalProcessorServer
	routes map[string]string
}

func (p *processor) Process(stream extproc.ExternalProcessor_ProcessServer) error {
	var answer usage.Reader
	for {
		request, err := stream.Recv()
		if errors.Is(err, io.EOF) || status.Code(err) == codes.Canceled {
			return nil
		}
		if err != nil {
			return err
		}
		var response *extproc.ProcessingResponse
		switch message := request.Request.(type) {
		case *extproc.ProcessingRequest_RequestHeaders:
			// Nothing to do, but Envoy lets the headers go before the body is here unless they are sent to us too.
			response = &extproc.ProcessingResponse{Response: &extproc.ProcessingResponse_RequestHeaders{RequestHeaders: &extproc.HeadersResponse{}}}
		case *extproc.ProcessingRequest_RequestBody:
			response = p.route(message.RequestBody.Body)
		case *extproc.ProcessingRequest_ResponseBody:
			response, err = count(&answer, message.ResponseBody)
			if err != nil {
				return err
			}
		default:
			return status.Errorf(codes.InvalidArgument, "unexpected message %T", message)
		}
		if err := stream.Send(response); err != nil {
			return err
		}
	}
}

func (p *processor) route(body []byte) *extproc.ProcessingResponse {
	model := gjson.GetBytes(body, "model").String()
	route, found := p.routes[model]
	if !found {
		return &extproc.ProcessingResponse{Response: &extproc.ProcessingResponse_ImmediateResponse{
			ImmediateResponse: &extproc.ImmediateResponse{Status: &typev3.HttpStatus{Code: typev3.StatusCode_NotFound}},
		}}
	}
	return &extproc.ProcessingResponse{Response: &extproc.ProcessingResponse_RequestBody{
		RequestBody: &extproc.BodyResponse{Response: &extproc.CommonResponse{
			ClearRouteCache: true,
			HeaderMutation: &extproc.HeaderMutation{SetHeaders: []*core.HeaderValueOption{{
				Header:       &core.HeaderValue{Key: "x-llm-route", RawValue: []byte(route)},
				AppendAction: core.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
			}}},
		}},
	}}
}

func count(answer *usage.Reader, piece *extproc.HttpBody) (*extproc.ProcessingResponse, error) {
	response := &extproc.ProcessingResponse{Response: &extproc.ProcessingResponse_ResponseBody{ResponseBody: &extproc.BodyResponse{}}}
	answer.Write(piece.Body)
	if !piece.EndOfStream {
		return response, nil
	}
	tokens := answer.Finish()
	metadata, err := structpb.NewStruct(map[string]any{
		"llm": map[string]any{"prompt_tokens": tokens.Prompt, "completion_tokens": tokens.Completion},
	})
	response.DynamicMetadata = metadata
	return response, err
}

func run() error {
	models := flag.String("models", "{}", "JSON object from model name to route")
	endpoints := flag.String("endpoints", "", "comma list of up to 64 endpoints to pick from, in place of -models")
	flag.Parse()
	routes := map[string]string{}
	if err := json.Unmarshal([]byte(*models), &routes); err != nil {
		return fmt.Errorf("-models: %w", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go func() {
		// The parent holds our standard input open; when it goes, we go.
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	fmt.Printf("{\"address\":%q}\n", listener.Addr().String())
	options := []grpc.ServerOption{grpc.MaxRecvMsgSize(maxMessage)}
	if *endpoints != "" {
		// A whole prompt without waiting for window updates, and a collection of garbage only now and then: this server has hardly any heap of its own.
		options = append(options, grpc.InitialWindowSize(4<<20), grpc.InitialConnWindowSize(16<<20))
		debug.SetGCPercent(800)
	}
	server := grpc.NewServer(options...)
	if *endpoints != "" {
		extproc.RegisterExternalProcessorServer(server, newEndpointPicker(strings.Split(*endpoints, ",")))
	} else {
		extproc.RegisterExternalProcessorServer(server, &processor{routes: routes})
	}
	return server.Serve(listener)
}

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}
