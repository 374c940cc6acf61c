/** Control of the stream: resume, close, answer. All of it takes effect after the callback has returned. */
import { Status, StreamType } from "../abi.ts";
import { parsePairs } from "../header-map.ts";
import { bytesAt, type Hostcall, textAt, word } from "./hostcall.ts";

/** gRPC statuses 0..16 are sent; everything else (SDKs pass -1) means none. */
const maxGrpcStatus = 16;

export const streamCalls: Record<string, Hostcall> = {
  proxy_continue_stream(_vm, context, args) {
    const type = word(args, 0);
    if (type > StreamType.Upstream) return Status.BadArgument;
    if (type === StreamType.Upstream) return Status.Unimplemented;
    context.resume(type);
    return Status.Ok;
  },
  proxy_close_stream(_vm, context, args) {
    const type = word(args, 0);
    if (type > StreamType.Upstream) return Status.BadArgument;
    context.close(type);
    return Status.Ok;
  },
  proxy_send_local_response(vm, context, args) {
    const details = textAt(vm, args, 1);
    const body = bytesAt(vm, args, 3);
    const headers = bytesAt(vm, args, 5);
    if (details === undefined || !body || !headers) return Status.InvalidMemoryAccess;
    const grpc = word(args, 7);
    context.reply({
      status: word(args, 0),
      headers: parsePairs(headers),
      body: body.slice(),
      details: details.replaceAll(/\s/g, "_"),
      grpcStatus: grpc <= maxGrpcStatus ? grpc : undefined,
    });
    vm.iterationStopped = true;
    return Status.Ok;
  },
  proxy_done: (vm, context) => vm.environment.done(context.root),
};
