() => {
  // Run once when the page opens; it watches what Gradio adds later.

  // For screen readers and keyboards: Gradio labels an empty picture but gives it no role that may have a
  // label, and keys scroll a wide table only if it can have the focus.
  const fix = () => {
    document.querySelectorAll(".empty[aria-label]:not([role])").forEach(
      (empty) => empty.setAttribute("role", "img"));
    document.querySelectorAll("#numbers table:not([tabindex])").forEach(
      (table) => table.setAttribute("tabindex", "0"));
  };
  new MutationObserver(fix).observe(document.body, { childList: true, subtree: true });
  fix();

  // A photo that is dropped anywhere on the first tab, or pasted, is the photo to restore.
  const input = () => document.querySelector("#photo input[type=file]");
  const wanted = (event, data) =>
    [...data.types].includes("Files") && document.querySelector("#photo")?.offsetParent
    && input() && !event.target.closest?.("#photo");
  const take = (event, data) => {
    const file = [...data.files].find((one) => one.type.startsWith("image/") || !one.type); // none: HEIC
    if (!file) return;
    event.preventDefault();
    const one = new DataTransfer();
    one.items.add(file);
    input().files = one.files;
    input().dispatchEvent(new Event("change", { bubbles: true }));
  };
  const mark = (on) => document.querySelector("#result")?.classList.toggle("dropping", on);
  document.addEventListener("dragover", (event) => {
    if (!wanted(event, event.dataTransfer)) return;
    event.preventDefault(); // else the browser leaves the page and opens the file
    mark(true);
  });
  document.addEventListener("dragleave", () => mark(false));
  document.addEventListener("drop", (event) => {
    mark(false);
    if (wanted(event, event.dataTransfer)) take(event, event.dataTransfer);
  });
  // Text that is copied from a document often comes with a picture of it: a text field gets the text.
  const FIELDS = "textarea, input:not([type]), input[type=text], input[type=number], [contenteditable]";
  const isText = (event, data) => [...data.types].includes("text/plain") && event.target.closest?.(FIELDS);
  document.addEventListener("paste", (event) => {
    if (isText(event, event.clipboardData)) return;
    if (wanted(event, event.clipboardData)) take(event, event.clipboardData);
  });
}
