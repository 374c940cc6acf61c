/**
 * The headers of a request as they came: what stages asked to see of them is kept, and what the pipeline itself goes by is read. One hostcall, and one for each
 * reserved header that the client has sent: it goes no further.
 */
import { Bytes, HeaderPairs, headers, MapType, Status } from "../sdk";
import { Exchange } from "./exchange";
import { isReserved } from "./reserved-headers";

const METHOD = Bytes.literal(":method");
const PATH = Bytes.literal(":path");
const POST = Bytes.literal("POST");
const CONTENT_LENGTH = Bytes.literal("content-length");
const CONTENT_ENCODING = Bytes.literal("content-encoding");
const IDENTITY = Bytes.literal("identity");

export const ACCEPT_ENCODING = Bytes.literal("accept-encoding");

const pairs = new HeaderPairs();

@final
class RequestHead {
  /** With its query; empty without one. Borrowed until the callback returns. */
  readonly path: Bytes = new Bytes();
  post: bool = false;
  /** The body is. */
  compressed: bool = false;
  /** Bytes of the body, as the request says; negative when it does not. */
  declared: i64 = -1;
  /** The client takes compressed answers. */
  encodings: bool = false;

  /** Begins the exchange. False, with nothing begun, when Envoy does not show the headers. */
  read(exchange: Exchange, stream: u32): bool {
    if (pairs.load(MapType.HttpRequestHeaders) != Status.Ok) return false;
    exchange.begin(stream);
    this.path.clear();
    this.post = false;
    this.compressed = false;
    this.declared = -1;
    this.encodings = false;
    while (pairs.next()) {
      const name = pairs.name;
      const first: u8 = name.len > 0 ? name.at(0) : 0;
      if (first == 0x3a) {
        if (name.equals(PATH)) this.path.set(pairs.value.ptr, pairs.value.len);
        else if (name.equals(METHOD)) this.post = pairs.value.equals(POST);
      } else if (first == 0x63) {
        if (name.equals(CONTENT_LENGTH)) this.declared = decimal(pairs.value);
        else if (name.equals(CONTENT_ENCODING)) this.compressed = !pairs.value.equalsIgnoreCase(IDENTITY);
      } else if (first == 0x78) {
        if (isReserved(name)) {
          headers.remove(MapType.HttpRequestHeaders, name);
          continue;
        }
      } else if (name.equals(ACCEPT_ENCODING)) {
        this.encodings = true;
      }
      exchange.headers.offer(name, pairs.value);
    }
    return true;
  }
}

/** Of the request whose headers were read last. */
export const requestHead = new RequestHead();

/** A content-length; -1 for anything that is not a number. Envoy has refused conflicting ones already. */
function decimal(value: Bytes): i64 {
  if (value.len == 0 || value.len > 18) return value.len == 0 ? -1 : i64.MAX_VALUE;
  let result: i64 = 0;
  for (let i = 0; i < value.len; i++) {
    const digit = value.at(i) - 48;
    if (digit > 9) return -1;
    result = result * 10 + digit;
  }
  return result;
}
