/** Callbacks of any context beside streams: ticks, queues, callouts, foreign functions, a postponed end. Export the ones the filter overrides, by name. */
import { Status } from "../abi";
import { callouts } from "../callouts";
import { Context, ContextKind } from "../context";
import { dispatcher } from "../dispatcher";
import { log } from "../hostcalls/log";
import { stream } from "../hostcalls/stream";
import { scratch } from "../scratch";

export function proxy_on_tick(id: u32): void {
  scratch.enter();
  log.refreshLevel();
  const root = dispatcher.root(id);
  if (root !== null) root.onTick();
  scratch.leave();
  __collect();
}

export function proxy_on_queue_ready(id: u32, queueId: u32): void {
  scratch.enter();
  const root = dispatcher.root(id);
  if (root !== null) root.onQueueReady(queueId);
  scratch.leave();
}

/** The context that started a callout, made the effective one; null when it has ended meanwhile. */
function waiter(contextId: u32): Context | null {
  if (contextId == 0) return null;
  const context = dispatcher.any(contextId);
  if (context === null) return null;
  if (context.kind != ContextKind.Root && stream.setEffectiveContext(contextId) != Status.Ok) return null;
  return context;
}

export function proxy_on_http_call_response(id: u32, callId: u32, headerCount: i32, bodySize: i32, trailerCount: i32): void {
  scratch.enter();
  const context = waiter(callouts.takeHttp(callId));
  if (context !== null) context.onHttpCallResponse(callId, headerCount, bodySize, trailerCount);
  scratch.leave();
}

export function proxy_on_grpc_receive_initial_metadata(id: u32, callId: u32, count: i32): void {
  scratch.enter();
  const context = waiter(callouts.findGrpc(callId));
  if (context !== null) context.onGrpcReceiveInitialMetadata(callId, count);
  scratch.leave();
}

export function proxy_on_grpc_receive(id: u32, callId: u32, size: i32): void {
  scratch.enter();
  const context = waiter(callouts.takeMessage(callId));
  if (context !== null) context.onGrpcReceive(callId, size);
  scratch.leave();
}

export function proxy_on_grpc_receive_trailing_metadata(id: u32, callId: u32, count: i32): void {
  scratch.enter();
  const context = waiter(callouts.findGrpc(callId));
  if (context !== null) context.onGrpcReceiveTrailingMetadata(callId, count);
  scratch.leave();
}

export function proxy_on_grpc_close(id: u32, callId: u32, status: i32): void {
  scratch.enter();
  const context = waiter(callouts.takeGrpc(callId));
  if (context !== null) context.onGrpcClose(callId, status);
  scratch.leave();
}

export function proxy_on_foreign_function(id: u32, functionId: u32, size: i32): void {
  scratch.enter();
  const context = dispatcher.any(id);
  if (context !== null) context.onForeignFunction(functionId, size);
  scratch.leave();
}

/** Without this export the host takes every end at once. */
export function proxy_on_done(id: u32): i32 {
  scratch.enter();
  const context = dispatcher.any(id);
  const ok = context === null || context.onDone();
  scratch.leave();
  return ok ? 1 : 0;
}
