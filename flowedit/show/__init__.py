"""What readers see of results: pictures in SVG, pages in HTML, how a number is written."""
