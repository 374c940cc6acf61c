import { BufferType, Bytes, buffer, callStatus, FilterHeadersStatus, grpc, headers, HttpContext, MapType, PairsWriter, registerRoot, RootContext, StreamContext, StreamType, stream, Status } from "../../../filters/sdk";
import { note, op, say, show } from "./lib/say";

export * from "../../../filters/sdk/exports/lifecycle";
export { proxy_on_request_headers } from "../../../filters/sdk/exports/http";
export { proxy_on_grpc_close, proxy_on_grpc_receive, proxy_on_grpc_receive_initial_metadata, proxy_on_grpc_receive_trailing_metadata, proxy_on_http_call_response } from "../../../filters/sdk/exports/root";

const value = new Bytes();
const bodyBytes = new Bytes();
const none = new PairsWriter();
const request = new PairsWriter();
const metadata = new PairsWriter();

class Root extends RootContext {
  createStream(): StreamContext {
    return new Stream(this);
  }
}

class Stream extends HttpContext {
  call: u32 = 0;

  onRequestHeaders(count: i32, endOfStream: bool): FilterHeadersStatus {
    const what = op();
    if (what == "http" || what == "http-timeout") {
      request.reset().add(Bytes.literal(":method"), Bytes.literal("POST")).add(Bytes.literal(":path"), Bytes.literal("/check")).add(Bytes.literal(":authority"), Bytes.literal("auth"));
      note("start " + this.httpCall(Bytes.literal("auth"), request, Bytes.literal("question"), none, 1000).toString());
      return FilterHeadersStatus.StopIteration;
    }
    if (what == "http-misuse") {
      request.reset().add(Bytes.literal(":method"), Bytes.literal("GET"));
      note("no path " + this.httpCall(Bytes.literal("auth"), request, value, none, 1000).toString());
      request.add(Bytes.literal(":path"), Bytes.literal("/")).add(Bytes.literal(":authority"), Bytes.literal("a"));
      note("no cluster " + this.httpCall(Bytes.literal("nowhere"), request, new Bytes(), none, 1000).toString());
      note("negative " + this.httpCall(Bytes.literal("auth"), request, new Bytes(), none, -1).toString());
      note("outside " + this.httpCall(new Bytes(0xfffffff0, 100), request, new Bytes(), none, 1).toString());
      return FilterHeadersStatus.Continue;
    }
    metadata.reset().add(Bytes.literal("x-meta"), Bytes.literal("1"));
    if (what == "grpc") {
      note("start " + this.grpcCall(Bytes.literal("limits"), Bytes.literal("pkg.Limits"), Bytes.literal("Check"), metadata, Bytes.literal("ask"), 500).toString());
      return FilterHeadersStatus.StopIteration;
    }
    if (what == "grpc-stream") {
      note("open " + this.grpcStream(Bytes.literal("limits"), Bytes.literal("pkg.Limits"), Bytes.literal("Watch"), metadata).toString());
      this.call = grpc.lastId();
      note("send " + grpc.send(this.call, Bytes.literal("one"), false).toString() + grpc.send(this.call, Bytes.literal("two"), true).toString());
      return FilterHeadersStatus.StopIteration;
    }
    if (what == "grpc-misuse") {
      note("cluster " + this.grpcCall(Bytes.literal("nowhere"), value, value, none, value, 1).toString());
      note("unknown " + grpc.send(6 + 400, value, false).toString() + grpc.cancel(402).toString() + grpc.close(405).toString());
      note("not grpc " + grpc.send(4, value, false).toString() + grpc.cancel(4).toString() + grpc.close(4).toString());
      this.grpcStream(Bytes.literal("limits"), Bytes.literal("s"), Bytes.literal("m"), none);
      const id = grpc.lastId();
      note("cancel " + grpc.cancel(id).toString() + grpc.cancel(id).toString());
      return FilterHeadersStatus.Continue;
    }
    return FilterHeadersStatus.Continue;
  }

  onHttpCallResponse(callId: u32, headerCount: i32, bodySize: i32, trailerCount: i32): void {
    headers.get(MapType.HttpCallResponseHeaders, Bytes.literal(":status"), value);
    buffer.get(BufferType.HttpCallResponseBody, 0, bodySize, bodyBytes);
    note("answer " + headerCount.toString() + " " + value.toString() + " " + bodyBytes.toString() + " " + trailerCount.toString());
    say("answer", value.toString());
    stream.resume(StreamType.HttpRequest);
  }
  onGrpcReceiveInitialMetadata(callId: u32, count: i32): void {
    note("initial " + count.toString() + " " + show(headers.get(MapType.GrpcInitialMetadata, Bytes.literal("x-i"), value), value));
  }
  onGrpcReceive(callId: u32, size: i32): void {
    note("message " + show(buffer.get(BufferType.GrpcReceiveBuffer, 0, size, value), value));
    if (this.call == 0) stream.resume(StreamType.HttpRequest);
  }
  onGrpcReceiveTrailingMetadata(callId: u32, count: i32): void {
    note("trailing " + count.toString() + " " + show(headers.get(MapType.GrpcTrailingMetadata, Bytes.literal("x-t"), value), value));
  }
  onGrpcClose(callId: u32, status: i32): void {
    note("close " + status.toString() + " " + callStatus.get(value).toString() + " " + value.toString());
    stream.resume(StreamType.HttpRequest);
  }
}

registerRoot("callouts", () => new Root());
