() => {
  // What Gradio leaves in English, in the visitor's language, by the words that it has of ours: the page's own
  // widgets, toasts, the names of a picture's buttons, and the foot of the page.
  const OWN = ".cmp, .strip, .figures"; // nothing in them changes: they are translated once
  const OF_GRADIO = ".toast-body, footer, .image-container .icon-button-wrapper, .source-selection";
  const language = () => document.documentElement.lang || "en";
  const words = () => {
    const known = (window.gradio_config && window.gradio_config.i18n_translations) || {};
    return known[language()] || known[language().split("-")[0]];
  };
  const plain = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  const filled = (known, text) => {
    // By a template, such as "Larger than {size}: {name}".
    for (const [template, translation] of Object.entries(known)) {
      if (!template.includes("{")) continue;
      const names = [...template.matchAll(/{(\w+)}/g)].map((found) => found[1]);
      const found = text.match(new RegExp(`^${template.split(/{\w+}/).map(plain).join("(.+?)")}$`, "s"));
      if (found) return names.reduce((all, name, i) => all.replace(`{${name}}`, () => found[i + 1]), translation);
    }
  };
  const translate = (root, say) => {
    for (const part of [root, ...root.querySelectorAll("*")]) {
      for (const name of ["title", "aria-label", "alt"]) {
        const text = part.getAttribute(name), found = text && say(text.trim());
        if (found && found !== text) part.setAttribute(name, found);
      }
      for (const node of part.childNodes) {
        const text = node.nodeType === Node.TEXT_NODE ? node.textContent.trim() : "";
        const found = text && say(text);
        if (found && found !== text) node.textContent = found;
      }
    }
  };
  const look = () => {
    const known = words();
    if (!known) return;
    for (const root of document.querySelectorAll(OWN)) {
      if (root.dataset.language === language()) continue;
      root.dataset.language = language();
      translate(root, (text) => known[text]);
    }
    for (const root of document.querySelectorAll(OF_GRADIO)) {
      translate(root, (text) => known[text] || filled(known, text));
    }
  };
  new MutationObserver(look).observe(document.documentElement, {
    childList: true, subtree: true, characterData: true, attributes: true, attributeFilter: ["lang"],
  });
  look();
}
