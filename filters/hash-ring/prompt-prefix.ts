/** Hashes of the beginning of a prompt, block by block: what an engine's cache goes by. */
import { PrefixChain } from "../lib/prefix-chain";
import { readWindow, window } from "../pipeline/body-scan";
import { Exchange } from "../pipeline/exchange";
import { Bytes, scratch } from "../sdk";

/** One for all streams: it is read and used within one callback. */
export const prefixChain: PrefixChain = new PrefixChain();

/**
 * Reads the prompt of the request into `prefixChain`. False when there is none that could be read. `salt` keeps apart what must not share a cache. O(prompt), of which at most
 * 1 MiB is read; a body over 512 KiB is fetched once more.
 */
export function readPrefix(exchange: Exchange, salt: Bytes): bool {
  const chat = exchange.chat;
  if (chat === null) return false;
  prefixChain.begin(salt.ptr, salt.len, exchange.model.ptr, exchange.model.len);
  const head = exchange.head;
  if (head.len > 0) {
    prefixChain.hash(chat.prompt, head.ptr, head.len);
    return prefixChain.bytes > 0;
  }
  const mark = scratch.mark();
  let at = prefixChain.start(chat.prompt);
  while (at >= 0 && readWindow(at, exchange.bodySize, mark)) at = prefixChain.feed(window.ptr, at, window.len);
  scratch.rewind(mark);
  return prefixChain.bytes > 0;
}
