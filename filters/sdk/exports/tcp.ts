/** Callbacks of TCP connections. Export the ones the filter overrides, by name (`proxy_on_log` is in `http.ts`). */
import { Action } from "../abi";
import { dispatcher } from "../dispatcher";
import { scratch } from "../scratch";

export function proxy_on_new_connection(id: u32): i32 {
  scratch.enter();
  const context = dispatcher.tcp(id);
  const action = context !== null ? context.onNewConnection() : Action.Continue;
  scratch.leave();
  return action;
}

export function proxy_on_downstream_data(id: u32, size: i32, endOfStream: i32): i32 {
  scratch.enter();
  const context = dispatcher.tcp(id);
  const action = context !== null ? context.onDownstreamData(size, endOfStream != 0) : Action.Continue;
  scratch.leave();
  return action;
}

export function proxy_on_upstream_data(id: u32, size: i32, endOfStream: i32): i32 {
  scratch.enter();
  const context = dispatcher.tcp(id);
  const action = context !== null ? context.onUpstreamData(size, endOfStream != 0) : Action.Continue;
  scratch.leave();
  return action;
}

export function proxy_on_downstream_connection_close(id: u32, peer: i32): void {
  scratch.enter();
  const context = dispatcher.tcp(id);
  if (context !== null) context.onDownstreamClose(peer);
  scratch.leave();
}

export function proxy_on_upstream_connection_close(id: u32, peer: i32): void {
  scratch.enter();
  const context = dispatcher.tcp(id);
  if (context !== null) context.onUpstreamClose(peer);
  scratch.leave();
}
