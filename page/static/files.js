() => {
  // Browsers do not know HEIC and other photos as pictures, and Gradio's picture box refuses what is none. The
  // server knows more kinds and says better what is wrong with the rest, so every file may go there.
  const wanted = 'input[type=file][accept*="image"]';
  const known = (file) => file.type.startsWith('image/');
  const asPictures = (files) => {
    const all = new DataTransfer();
    for (const file of files) {
      all.items.add(known(file) ? file : new File([file], file.name, {type: 'image/x-photo'}));
    }
    return all;
  };
  document.addEventListener('change', (event) => {
    const files = [...(event.target.files || [])];
    if (event.target.matches(wanted) && !files.every(known)) {
      event.target.files = asPictures(files).files;
    }
  }, true);
  document.addEventListener('drop', (event) => {
    const files = [...(event.dataTransfer?.files || [])];
    if (files.length === 0 || files.every(known)) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    const more = {bubbles: true, cancelable: true, dataTransfer: asPictures(files)};
    event.target.dispatchEvent(new DragEvent('drop', more));
  }, true);
  const offer = () => document.querySelectorAll('input[type=file][accept="image/*"]').forEach(
    (input) => input.setAttribute('accept', 'image/*,.heic,.heif,.avif,.tif,.tiff,.jp2'));
  new MutationObserver(offer).observe(document.body, {childList: true, subtree: true});
  offer();
}