// Mail for the page to show: a client that says whatever bytes it is told to.

import { connect } from "node:net";

class Dialogue {
  constructor(port) {
    this.text = "";
    this.socket = connect(port, "127.0.0.1");
    this.socket.setEncoding("latin1");
    this.socket.on("data", (data) => { this.text += data; this.wake?.(); });
    this.socket.on("close", () => { this.closed = true; this.wake?.(); });
    this.socket.on("error", () => {});
  }

  // The next reply whole, or "" when weir has closed.
  async reply() {
    for (;;) {
      const end = /^(?:\d{3}-.*\r\n)*\d{3}(?: .*)?\r\n/.exec(this.text);
      if (end) {
        this.text = this.text.slice(end[0].length);
        return end[0];
      }
      if (this.closed)
        return "";
      await new Promise((wake) => { this.wake = wake; });
    }
  }

  ask(line) {
    this.socket.write(typeof line === "string" ? line + "\r\n" : line);
    return this.reply();
  }
}

// Sends one message; lines may be strings or Buffers with their own end.
// Resolves to the last reply before QUIT.
export async function mail(port, { from = "<anna@example.org>",
  to = ["<bob@example.net>"], content = ["Subject: hello", "", "Hello."] }) {
  const d = new Dialogue(port);
  await d.reply();
  await d.ask("EHLO client.example.org");
  let last = await d.ask(Buffer.concat([Buffer.from("MAIL FROM:"),
    Buffer.from(from), Buffer.from("\r\n")]));
  let accepted = 0;
  for (const one of last.startsWith("2") ? to : []) {
    last = await d.ask(Buffer.concat([Buffer.from("RCPT TO:"),
      Buffer.from(one), Buffer.from("\r\n")]));
    accepted += last.startsWith("2");
  }
  if (accepted > 0 && (last = await d.ask("DATA")).startsWith("354")) {
    for (const line of content)
      d.socket.write(typeof line === "string" ? line + "\r\n" : line);
    last = await d.ask(".");
  }
  await d.ask("QUIT");
  d.socket.destroy();
  return last;
}
