// Search without a server. Browsers start no worker from a page that was opened from the disk, so an invisible frame stands
// in for it: it runs the worker's script, and messages go to and fro between the two windows. The theme knows it by its name.
if (location.protocol === "file:") {
  window.IFrameWorker = class extends EventTarget {
    constructor(url) {
      super();
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      document.body.appendChild(this.frame);
      const inside = this.frame.contentWindow;
      inside.document.open(); // or a browser that makes the frame's page later would make another one
      inside.document.write("<!doctype html><title></title><body>");
      inside.document.close();
      inside.postMessage = (data) => window.postMessage({ worker: url.toString(), data }, "*");
      inside.importScripts = (...scripts) =>
        scripts.reduce((before, script) => before.then(() => this.load(script)), Promise.resolve());
      window.addEventListener("message", (event) => {
        if (event.data && event.data.worker === url.toString()) {
          event.stopImmediatePropagation();
          this.dispatchEvent(new MessageEvent("message", { data: event.data.data }));
        }
      });
      this.ready = this.load(url);
    }

    load(url) {
      return new Promise((resolve, reject) => {
        const page = this.frame.contentDocument;
        const script = page.createElement("script");
        Object.assign(script, { src: url, onload: resolve, onerror: reject });
        page.body.appendChild(script);
      });
    }

    postMessage(data) {
      this.ready.then(() => this.frame.contentWindow.dispatchEvent(new MessageEvent("message", { data })));
    }
  };
  window.Worker = window.IFrameWorker;
}
