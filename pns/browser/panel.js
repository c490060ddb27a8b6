// What a bell shows once it is opened, and a page of one's own shows at once. bell-load.js fetches this file when it
// is needed.
//
// A page loads one file, so that one address is asked again after a failure: PNS joins this file with the parts in
// panel/ when PNS starts (pns/web/browser.py). A bundler takes this file as it is. The join demands that each import
// is one line of the form used here, and that no two parts have a name in common.

export { List } from './panel/list.js'
export { Panel } from './panel/panel.js'
