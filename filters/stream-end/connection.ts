/** One connection of a client: ends the message of a stream that was stopped, in the write that carries the last bytes of its answer. */
import { isChunkEndingWith } from "../lib/http1-chunk";
import { FRAME_HEADER, Http2Text, TextPlace } from "../lib/http2-frames";
import { connectionEnds, HttpVersion, StreamEnd } from "../pipeline/connection-ends";
import { Action, buffer, BufferType, Bytes, ByteWriter, property, Status, TcpContext } from "../sdk";
import { StreamEndRoot } from "./stream-end";

const CONNECTION_ID = Bytes.literal("connection\0id");
/** The first line of an answer that may be ended. */
const STATUS_LINE = Bytes.literal("HTTP/1.1 200 ");
const LINE_FEED: u8 = 0x0a;
/** Bytes in which the first line ends. */
const FIRST_LINE: i32 = 64;
const CLOSE = Bytes.literal("connection: close\r\n");
/** The chunk of size 0, without trailers. */
const LAST_CHUNK = Bytes.literal("0\r\n\r\n");
/** Flag END_STREAM of an empty DATA frame; its stream is put in. */
const lastFrame = new StaticArray<u8>(FRAME_HEADER);
lastFrame[4] = 1;

const written = new Bytes();
const behind = new Bytes();
const head = new ByteWriter();
const nothing = new Bytes();
const frames = new Http2Text();

@final
export class Connection extends TcpContext {
  private connection: i64 = -1;
  /** The answer was the last one on this connection: nothing more is written. */
  private over: bool = false;

  constructor(private readonly root: StreamEndRoot) {
    super(root);
  }

  onCreate(): void {
    this.connection = -1;
    this.over = false;
    connectionEnds.open();
  }

  onDelete(): void {
    connectionEnds.close();
  }

  onNewConnection(): Action {
    this.connection = property.integer(CONNECTION_ID, -1);
    return Action.Continue;
  }

  /** What the client sends may let Envoy write what has been waiting for a window. */
  onDownstreamData(size: i32, endOfStream: bool): Action {
    connectionEnds.forget();
    return Action.Continue;
  }

  onUpstreamData(size: i32, endOfStream: bool): Action {
    if (this.over) {
      buffer.replace(BufferType.UpstreamData, nothing);
      return Action.Continue;
    }
    const end = connectionEnds.on(this.connection);
    if (end === null || size == 0) return Action.Continue;
    if (end.text.len == 0) this.announce(end);
    else if (buffer.get(BufferType.UpstreamData, 0, size, written) != Status.Ok || written.len != size) connectionEnds.forget();
    else if (end.version == HttpVersion.Http2) this.endFrames(end);
    else this.endMessage(end);
    return Action.Continue;
  }

  /** The first line is followed by the header that says that the connection ends. */
  private announce(end: StreamEnd): void {
    connectionEnds.forget();
    if (buffer.get(BufferType.UpstreamData, 0, FIRST_LINE, written) != Status.Ok || !written.startsWith(STATUS_LINE)) return;
    const line = written.indexOf(LINE_FEED) + 1;
    if (line == 0) return;
    head.reset().raw(written.ptr, line).bytes(CLOSE);
    end.announced = buffer.replacePrefix(BufferType.UpstreamData, line, head.view()) == Status.Ok;
  }

  /** HTTP/1: the connection ends, too, because Envoy does not know that the message has. */
  private endMessage(end: StreamEnd): void {
    connectionEnds.forget();
    const text = end.text;
    if (end.version == HttpVersion.Http10) {
      if (!written.endsWith(text)) return;
    } else {
      if (!isChunkEndingWith(written.ptr, written.len, text.ptr, text.len)) return;
      if (buffer.append(BufferType.UpstreamData, LAST_CHUNK) != Status.Ok) return;
    }
    end.done = true;
    this.over = true;
    this.root.closeConnection(this.id);
  }

  /** HTTP/2: the stream ends, and the connection goes on. */
  private endFrames(end: StreamEnd): void {
    if (!end.sought) {
      end.sought = true;
      frames.begin(end.text.ptr, end.text.len);
    }
    const place = frames.read(written.ptr, written.len);
    if (place == TextPlace.Open) return;
    connectionEnds.forget();
    if (place == TextPlace.Lost) return;
    const frame = changetype<usize>(lastFrame);
    store<u32>(frame, bswap(frames.stream), 5);
    behind.set(frame, FRAME_HEADER);
    if (buffer.append(BufferType.UpstreamData, behind) != Status.Ok) return;
    end.done = true;
    this.root.resetStream(end.stream);
  }
}
