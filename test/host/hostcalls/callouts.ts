/** HTTP and gRPC callouts. */
import { Status } from "../abi.ts";
import { GrpcCall, HttpCall } from "../callouts.ts";
import type { Context } from "../context.ts";
import { HeaderMap, parsePairs } from "../header-map.ts";
import type { Argument, Vm } from "../vm.ts";
import { bytesAt, type Hostcall, textAt, word } from "./hostcall.ts";

/** The service argument is a cluster name or a serialised GrpcService{envoy_grpc{cluster_name}} (fields 1 and 1). */
function clusterOf(vm: Vm, service: string): string | undefined {
  if (vm.environment.callouts.knows(service)) return service;
  const outer = service.charCodeAt(1);
  const inner = service.charCodeAt(3);
  const wrapped = service[0] === "\n" && service[2] === "\n" && outer === service.length - 2 && inner === outer - 2;
  return wrapped ? service.slice(4) : undefined;
}

function startGrpc(vm: Vm, context: Context, args: readonly Argument[], isStream: boolean): number {
  const [service, name, method] = [textAt(vm, args, 0), textAt(vm, args, 2), textAt(vm, args, 4)];
  const metadata = bytesAt(vm, args, 6);
  const message = isStream ? undefined : bytesAt(vm, args, 8);
  if (service === undefined || name === undefined || method === undefined || !metadata || (!isStream && !message)) {
    return Status.InvalidMemoryAccess;
  }
  const cluster = clusterOf(vm, service);
  if (cluster === undefined) return Status.ParseFailure;
  const { root } = context;
  const token = vm.nextCallout(isStream ? 2 : 1);
  if (!vm.memory.setU32(word(args, isStream ? 8 : 11), token)) return Status.InvalidMemoryAccess;
  const call = new GrpcCall(root, token, cluster, `${name}/${method}`, parsePairs(metadata), message?.slice());
  vm.environment.callouts.startGrpc(call, isStream ? 0 : word(args, 10));
  return Status.Ok;
}

const isGrpc = (token: number): boolean => (token & 3) === 1 || (token & 3) === 2;

export const calloutCalls: Record<string, Hostcall> = {
  proxy_http_call(vm, context, args) {
    const cluster = textAt(vm, args, 0);
    const [headerBytes, body, trailerBytes] = [bytesAt(vm, args, 2), bytesAt(vm, args, 4), bytesAt(vm, args, 6)];
    const [timeoutMs, tokenOut] = [word(args, 8), word(args, 9)];
    if (cluster === undefined || !headerBytes || !body || !trailerBytes) return Status.InvalidMemoryAccess;
    // The token is written before and after the call: on failure it reads 0.
    if (!vm.memory.setU32(tokenOut, 0)) return Status.InvalidMemoryAccess;
    const headers = new HeaderMap(parsePairs(headerBytes));
    if (timeoutMs > 0x7fff_ffff || !vm.environment.callouts.knows(cluster)) return Status.BadArgument;
    if (!headers.has(":path") || !headers.has(":method") || !headers.has(":authority")) return Status.BadArgument;
    if (body.length > 0) headers.replace("content-length", String(body.length));
    const token = vm.nextCallout(0);
    vm.memory.setU32(tokenOut, token);
    const call = new HttpCall(
      context.root,
      token,
      cluster,
      headers,
      body.slice(),
      new HeaderMap(parsePairs(trailerBytes)),
      timeoutMs,
    );
    vm.environment.callouts.startHttp(call);
    return Status.Ok;
  },
  proxy_grpc_call: (vm, context, args) => startGrpc(vm, context, args, false),
  proxy_grpc_stream: (vm, context, args) => startGrpc(vm, context, args, true),
  proxy_grpc_send(vm, context, args) {
    const message = bytesAt(vm, args, 1);
    if (!message) return Status.InvalidMemoryAccess;
    const token = word(args, 0);
    if ((token & 3) !== 2) return Status.BadArgument;
    const call = vm.environment.callouts.findGrpc(context.root, token);
    if (!call) return Status.NotFound;
    call.sent.push(message.slice());
    if (word(args, 3) !== 0) call.localClosed = true;
    return Status.Ok;
  },
  proxy_grpc_cancel(vm, context, args) {
    if (!isGrpc(word(args, 0))) return Status.BadArgument;
    const call = vm.environment.callouts.findGrpc(context.root, word(args, 0));
    if (!call) return Status.NotFound;
    call.done = true;
    return Status.Ok;
  },
  proxy_grpc_close(vm, context, args) {
    if (!isGrpc(word(args, 0))) return Status.BadArgument;
    const call = vm.environment.callouts.findGrpc(context.root, word(args, 0));
    if (!call) return Status.NotFound;
    // A call is cancelled; a stream only closes its own half and still receives.
    if (call.isStream) call.localClosed = true;
    else call.done = true;
    return Status.Ok;
  },
};
