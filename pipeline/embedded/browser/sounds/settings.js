/** When a mean probability is a word, as the user chooses: the options of `serving listen`. */

import { element } from "./card.js";

const by = id => document.getElementById(id);

export class Settings {
  /** Calls `changed` with each new choice. */
  constructor(listener, changed) {
    by("threshold").value = listener.threshold;
    this.boxes = listener.card.class_names.map(name => {
      const box = element("input", { type: "checkbox", value: name });
      by("ignored").append(element("label", {}, box, name));
      return box;
    });
    by("settings").addEventListener("input", () => {
      this.show();
      changed(this.choice);
    });
    this.show();
  }

  get choice() {
    const ignored = this.boxes.filter(box => box.checked).map(box => box.value);
    return { threshold: Number(by("threshold").value), ignored };
  }

  show() {
    by("threshold-value").textContent = this.choice.threshold.toFixed(2);
  }
}
